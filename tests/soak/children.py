"""``citewell`` in a child that is forked from a process which has imported everything: 0.1 s a command instead of 2."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import orjson

_PRELOADED = (
    __name__, "app.cli", "app.commands.docs", "app.commands.keys", "app.core.vectors", "app.core.words", "ingest.cli",
    "ingest.index_cli", "faiss", "onnxruntime", "tokenizers",
)  # fmt: skip
_WAIT_S = 120.0


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    """As the shell has it; -9 when it was killed."""
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for machines."""
        return orjson.loads(self.out)


@dataclass(frozen=True)
class Command:
    """A command that runs."""

    process: BaseProcess
    out: Path

    def kill(self) -> None:
        """Kill it where it stands, unless it ended."""
        self.process.kill()

    def wait(self) -> Done:
        """Wait until it ended.

        Raises:
            TimeoutError: It hangs.
        """
        self.process.join(_WAIT_S)
        if self.process.exitcode is None:
            raise TimeoutError(f"a command runs for {_WAIT_S:.0f} s; what it said is in {self.out}")
        with suppress(ProcessLookupError):  # what it left behind when it was killed
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        return Done(self.process.exitcode, self.out.read_text(), _errors(self.out).read_text())


class Children:
    """Starts commands in a folder."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder, self._env = folder, dict(env)
        self._number = 0
        # A killed command leaves the semaphore of its progress bar to the tracker, which says so at the end.
        sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*_PRELOADED])

    def start(self, *argv: str) -> Command:
        """Run ``citewell`` with some arguments."""
        self._number += 1
        out = self._folder / f"command-{self._number % 50}"
        for path in (out, _errors(out)):
            path.write_bytes(b"")  # one that is killed at once writes neither
        process = self._context.Process(target=_citewell, args=(argv, self._env, str(self._folder), out))
        process.start()
        return Command(process, out)


def _errors(out: Path) -> Path:
    return out.with_suffix(".err")


def _citewell(argv: Sequence[str], env: Mapping[str, str], folder: str, out: Path) -> None:
    """Be a command: what the console script does."""
    os.setsid()
    os.chdir(folder)
    for number, path in ((1, out), (2, _errors(out))):
        file = os.open(path, os.O_WRONLY | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    for name in [name for name in os.environ if name.startswith("CITEWELL_")]:
        del os.environ[name]
    os.environ.update(env)
    sys.argv = ["citewell", *argv]
    from app.cli import main  # here, so that what starts commands need not import them

    main()
