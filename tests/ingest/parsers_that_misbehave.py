"""What the sandbox's child runs in its tests: parsers that do what no parser should. Named to it, since it is another process."""

import ctypes
import os
import sys
import time
from pathlib import Path

from app.core.errors import DocumentRefused
from app.core.types import Heading
from ingest.parse import HasBytes, Parsed, parse

_LEFT_BEHIND: list[bytes] = []


def misbehave(item: HasBytes) -> Parsed:
    """Do what the document says."""
    wish = item.raw[:100].decode(errors="replace").strip()
    match wish:
        case "sleep":
            time.sleep(600)
        case "hold":  # one call into C that keeps the interpreter's lock
            ctypes.PyDLL(None).sleep(600)
        case "list":
            while True:
                _LEFT_BEHIND.append(bytes(1 << 20))
        case "bytes":
            bytearray(1 << 40)
        case "refused of memory":
            try:
                bytearray(1 << 40)
            except MemoryError as error:
                raise DocumentRefused("corrupt", "A parser's own words.") from error
        case "leak":
            _LEFT_BEHIND.append(bytes(200 << 20))
        case "abort":
            os.abort()
        case "alloc":
            sys.stderr.write("memory allocation of 274877906944 bytes failed\n")
            sys.stderr.flush()
            os.abort()
        case "silent":
            _LEFT_BEHIND.append(b"x" * (700 << 20))
            os.abort()
        case "killed":
            os.kill(os.getpid(), 9)
        case "exit":
            os._exit(3)
        case "quit":
            sys.exit("had enough")
        case "close":  # every file that is open, and go on
            os.closerange(3, 1000)
            time.sleep(600)
        case "bug":
            raise ValueError("a bug")
        case "write":
            Path("/proc/self/cwd/written").write_bytes(bytes(64 << 20))
        case "whisper":
            sys.stdout.write("x" * 100_000)
        case "environment":
            return Parsed("", " ".join(sorted(os.environ)), (), (), {}, "")
        case "pid":
            return Parsed("", str(os.getpid()), (), (), {}, "")
        case "odd":
            return Parsed(
                "\ud800 t", "a\x00b\u2028😀" * 3, (Heading(0, 1, "é"),), (0, 4), {"a": [1, 2.5, None, {"b": "ü"}]}, "odd/1"
            )
        case _:
            return parse(item)
    return Parsed("", "done", (), (), {}, "")
