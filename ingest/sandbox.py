"""An item -> its text, read by a process of its own with a limit on time and on memory.

A parser is C code fed with strangers' bytes: it can hang, take all memory, or abort the process it runs in. Here that costs one
document and a new child. It limits; it is no jail: the child runs as the same user.

parent ── what to read, raw bytes ──▶ child: ``ingest.parse.parse`` ── the text, or why not, as JSON ──▶ parent
"""

import fcntl
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Self

from app.core.errors import DocumentRefused
from app.core.types import Heading
from ingest.parse import HasBytes, Parsed, parse

_START_S = 120.0
"""Until a new child has imported the parsers: 0.4 s on an idle machine. One that takes this long is a bug, not a document's fault."""
_ENDS_S = 2.0
"""Until a child whose pipe ended has ended too; one that is in its last breath must not be told from its own end by our kill."""
_KEPT = frozenset({"PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"})
"""What a child sees of the environment: no keys, no passwords."""
_MOST_WRITTEN = 1 << 20
"""Bytes that a child may write into one file: its last words, and no core dump of gigabytes."""
_LAST_WORDS = 500
_SAYS_NO_MEMORY = (b"memory allocation of", b"bad_alloc", b"out of memory", b"annot allocate memory", b"MemoryError")
"""How Rust, C++, C and Python say so before they abort."""
_NO_MEMORY = b'{"memory": true}'
"""Made beforehand: there may be no memory left to make it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take."""

    seconds: float = 60.0
    """Wall-clock time. The slowest honest file of the samples took 14 s."""
    memory_bytes: int = 3 << 30
    """Address space of the child; the parsers take 0.2 GiB of it before they read anything. Linux holds to it, macOS does not."""


class Sandbox:
    """Reads items in one child process at a time: started when first needed, started anew after each accident.

    A context for one thread: ``with Sandbox(Limits()) as parse: parsed = parse(item)``.

    Args:
        limits: Per document.
        function: What the child runs, as ``module:name``: takes an item, returns ``Parsed`` or raises ``DocumentRefused``.
    """

    def __init__(self, limits: Limits, *, function: str = "ingest.parse:parse") -> None:
        self._limits = limits
        self._function = function
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, item: HasBytes) -> Parsed:
        """Return an item's text in the house form.

        Raises:
            DocumentRefused: ``parser_timeout``, ``parser_memory``, ``corrupt`` where the parser took its process down; else the
                parser's own refusal.
        """
        # A row's text is taken as it is: no parser to fear, and its 0.01 ms are less than the way to the child and back, 0.07 ms.
        # A page of 3 kB takes 1.4 ms here and 1.6 ms there; nothing but rows is worth the risk of reading it here.
        if item.row is not None:
            return parse(item)
        used = self._child is not None
        try:
            return self._ask(item)
        except _Accident as accident:
            if not used or accident.reason == "parser_timeout":
                raise
        return self._ask(item)  # what others left behind in that child must not be held against this one

    def _ask(self, item: HasBytes) -> Parsed:
        self._child = self._child or _Child(self._limits, self._function)
        try:
            reply = self._child.ask(item)
        except BaseException:  # Ctrl-C too: an answer that nobody waited for would be taken for the next item's
            self._end()
            raise
        if refused := reply.get("refused"):
            raise DocumentRefused(refused[0], refused[1], detail=refused[2])
        headings = tuple(Heading(*heading) for heading in reply["headings"])
        return Parsed(reply["title"], reply["text"], headings, tuple(reply["pages"]), reply["metadata"], reply["parser"])

    def _end(self) -> None:
        if self._child:
            self._child.end()
        self._child = None


class _Accident(DocumentRefused):
    """The child is of no use any more."""


class _Child:
    """The parent's end of a child process."""

    def __init__(self, limits: Limits, function: str) -> None:
        self._limits = limits
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed by end()
        self._pipe, theirs = Pipe()
        lifeline, self._lifeline = os.pipe()
        with theirs:
            self._process = subprocess.Popen(
                # -P: the folder that a person happens to stand in is no place to import from.
                [sys.executable, "-P", "-c", "from ingest.sandbox import serve; serve()",
                 str(theirs.fileno()), str(lifeline), str(limits.memory_bytes), function],
                env={
                    **{name: value for name, value in os.environ.items() if name in _KEPT},
                    "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
                },
                pass_fds=(theirs.fileno(), lifeline),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                start_new_session=True,  # a terminal's Ctrl-C is the parent's business
            )  # fmt: skip
        os.close(lifeline)
        try:
            if not self._pipe.poll(_START_S):
                raise EOFError
            self._inherited = int(self._pipe.recv_bytes())
        except (EOFError, OSError):
            said = self._last_words().decode(errors="replace")
            self.end()
            raise RuntimeError(f"The parsers' process did not start: {said}") from None
        except BaseException:
            self.end()
            raise

    def ask(self, item: HasBytes) -> dict[str, Any]:
        """Have an item read; return what the child says.

        Raises:
            _Accident: ``parser_timeout``, ``parser_memory`` or ``corrupt``.
        """
        try:
            self._pipe.send_bytes(json.dumps({"uri": item.uri, "suffix": item.suffix}).encode())
            self._pipe.send_bytes(item.raw)
            if not self._pipe.poll(self._limits.seconds):
                raise _Accident(
                    "parser_timeout",
                    f"Reading it took more than {self._limits.seconds:g} s, the limit (setting ingest.parse_seconds). "
                    "Split the document, or raise the limit.",
                )
            reply: dict[str, Any] = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):  # the child is gone
            raise self._accident() from None
        if reply.get("memory"):
            raise self._too_much_memory(b"MemoryError")
        return reply

    def end(self) -> None:
        """Kill the process, whatever it does, and give back what it held."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()
        self._said.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _accident(self) -> _Accident:
        status, most = self._ended()
        said = self._last_words()
        # Nobody here killed it: a SIGKILL is the system's, which was out of memory. PDFium aborts without a word.
        full = status == -signal.SIGKILL or (status is not None and status < 0 and most > self._limits.memory_bytes / 2)
        if full or any(words in said for words in _SAYS_NO_MEMORY):
            return self._too_much_memory(said)
        how = "it closed its pipe" if status is None else signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return _Accident(
            "corrupt",
            f"The parser's process ended on it ({how}). Save the document again with another program.",
            detail=said.decode(errors="replace"),
        )

    def _ended(self) -> tuple[int | None, int]:
        """Return how the child ended, None where it did not, and the most bytes of memory that it held, 0 where that is not known."""
        deadline = time.monotonic() + _ENDS_S
        pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        while not pid:
            if time.monotonic() > deadline:  # it only closed its pipe, and would be waited for in vain
                return None, 0
            time.sleep(0.005)
            pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        # The kernel counts what the parent held when it made the child: that says nothing of the child.
        most = used.ru_maxrss if used.ru_maxrss > self._inherited else 0
        return self._process.returncode, most * (1 if sys.platform == "darwin" else 1024)

    def _too_much_memory(self, said: bytes) -> _Accident:
        return _Accident(
            "parser_memory",
            f"Reading it took more than {self._limits.memory_bytes / (1 << 30):.1f} GiB of memory, the limit "
            "(setting ingest.parse_memory_bytes). Split the document, or raise the limit.",
            detail=said.decode(errors="replace"),
        )

    def _last_words(self) -> bytes:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(size - _LAST_WORDS, 0))
        return self._said.read()


@dataclass(frozen=True, slots=True)
class _Item:
    raw: bytes
    uri: str
    suffix: str
    row: None = None


def serve() -> None:
    """Read items until the parent closes the pipe: the child's whole life."""
    pipe, lifeline, memory, function = sys.argv[1:]
    _die_with_parent(int(lifeline))
    module, _, name = function.partition(":")
    read: Callable[[HasBytes], Parsed] = getattr(importlib.import_module(module), name)
    for kind, value in ((resource.RLIMIT_AS, int(memory)), (resource.RLIMIT_FSIZE, _MOST_WRITTEN), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(ValueError):  # macOS knows no limit on address space
            resource.setrlimit(kind, (value, value))
    connection = Connection(int(pipe))
    connection.send_bytes(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).encode())
    while True:
        try:
            about, raw = json.loads(connection.recv_bytes()), connection.recv_bytes()
            connection.send_bytes(_reply(read, _Item(raw, about["uri"], about["suffix"])))
        except EOFError:
            return
        except BaseException:  # end at once, with the pipe still open: its end tells the parent that this is over
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel end this process when the parent's end of a pipe closes, however the parent ended.

    By SIGIO, whose default is death: it needs no thread, and no turn of an interpreter that is stuck in C code. The better known
    PR_SET_PDEATHSIG also fires when merely the thread that started the child ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _reply(read: Callable[[HasBytes], Parsed], item: _Item) -> bytes:
    """Return what is said of an item. JSON, no pickle: what a child says is data to the parent, never code."""
    try:
        parsed = read(item)
        return json.dumps(
            {
                "title": parsed.title,
                "text": parsed.text,
                "headings": [(heading.start, heading.level, heading.title) for heading in parsed.headings],
                "pages": parsed.pages,
                "metadata": parsed.metadata,
                "parser": parsed.parser,
            }
        ).encode()
    except MemoryError:
        return _NO_MEMORY
    except DocumentRefused as refusal:
        if isinstance(refusal.__cause__, MemoryError):
            return _NO_MEMORY
        return json.dumps({"refused": (refusal.reason, refusal.message, refusal.detail)}).encode()
