"""Snapshots of ``tests.indexes`` in milvus-lite: in this process, or as a server on loopback that can be killed."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from app.core.config import MilvusSettings
from app.core.milvus import Milvus, MilvusVectors
from app.core.snapshot import Snapshot
from app.retrieve.milvus import MilvusDense
from ingest.elsewhere import Elsewhere


class Books:
    """The database, as far as access lists go."""

    def __init__(self) -> None:
        self.epoch = 1
        self._lists: dict[str, tuple[int, frozenset[str] | None]] = {}

    def set(self, lists: Mapping[str, frozenset[str] | None]) -> None:
        self.epoch += 1
        self._lists |= {document: (self.epoch, who) for document, who in lists.items()}

    def lists(self) -> tuple[int, Mapping[str, frozenset[str] | None]]:
        return self.epoch, {document: who for document, (_, who) in self._lists.items()}

    def changed(self, epoch: int) -> frozenset[str]:
        return frozenset(document for document, (at, _) in self._lists.items() if at > epoch)


class Lite:
    """One file of milvus-lite."""

    def __init__(self, folder: Path) -> None:
        self.uri = str(folder / "milvus.db")
        self.settings = MilvusSettings(uri=self.uri, seconds=20)
        self.server = Milvus(self.settings)

    def filled(self, root: Path, made: Snapshot, books: Books) -> MilvusDense:
        """Bring a snapshot, and return what searches it."""
        Elsewhere(self.server, root, made.collection, books).bring(made)
        return MilvusDense(self.server, lambda _, epoch: books.changed(epoch))

    def vectors(self, made: Snapshot) -> MilvusVectors:
        return self.server.vectors(made.collection, int(made.manifest["embedder"]["dim"]))

    def empty(self) -> None:
        """Remove everything."""
        for name in self.server.names():
            MilvusVectors(self.server, name, 1).drop()


@contextmanager
def running(folder: Path) -> Iterator[Lite]:
    """Start milvus-lite, and stop it: its locks and threads end with it."""
    lite = Lite(folder)
    try:
        yield lite
    finally:
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(lite.uri)


class Served:
    """milvus-lite in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._folder = folder / "served.db"
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it listens; its own command would listen on every address."""
        code = "import sys; from milvus_lite.adapter.grpc.server import run_server; run_server(sys.argv[1], '127.0.0.1', int(sys.argv[2]))"
        command = [sys.executable, "-c", code, str(self._folder), str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.1)
        raise TimeoutError("milvus-lite does not listen")

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
