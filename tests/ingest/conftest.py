"""Sources that are not on disk, without a network."""

from collections.abc import Iterator

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ingest.fetch import page
from tests.ingest.fake_web import Web


@pytest.fixture
def bucket() -> Iterator[MemoryFileSystem]:
    """An empty file system in memory; it is one for the whole process."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    """An empty web, which is the only one that is reached."""
    empty = Web()
    monkeypatch.setattr(page, "Reach", lambda: empty.reach)
    return empty
