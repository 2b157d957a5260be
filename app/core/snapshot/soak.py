"""What of a replica's copy nothing needs any more -> gone, but only after its readers had time to move on."""

import json
import shutil
import time
from pathlib import Path

from app.core.snapshot.head import Head, sha256_of
from app.core.snapshot.layout import folder_of, stored

SOAK_S = 600.0
"""Longer than any answer takes: texts are read when a passage is shown."""


class Soak:
    """What of one collection's folder is about to go, and since when."""

    def __init__(self, root: Path, collection: str, *, seconds: float = SOAK_S) -> None:
        self._root, self._collection, self._seconds = root, collection, seconds
        self._since: dict[Path, float] = {}

    def note(self, head: Head, texts: frozenset[str]) -> None:
        """Take note of what the store names no more. What it names must have been pulled, and the collection's lock be held."""
        base = folder_of(self._root, self._collection)
        for draft in [*base.glob(".*.tmp"), *base.glob("snapshots/*/.*.tmp"), *base.glob("segments/*/.*.tmp")]:
            draft.unlink()  # of one that was killed: whoever writes now holds the lock, and that is us
        leaving, segments = [], set()
        for identity in stored(self._root, self._collection):
            data = (base / "snapshots" / identity / "manifest.json").read_bytes()
            if sha256_of(data) == head.manifests.get(identity):
                segments |= {entry["id"] for entry in json.loads(data)["segments"]}
            else:  # in an older layout it may name what was erased since
                leaving.append(base / "snapshots" / identity)
        leaving += [path for path in sorted((base / "segments").glob("*")) if path.name not in segments]
        leaving += [path for path in sorted((base / "texts").glob("*")) if path.name not in texts]
        now = time.monotonic()
        self._since = {path: self._since.get(path, now) for path in leaving}

    def due(self) -> bool:
        """Whether something has waited long enough."""
        return bool(self._ripe())

    def sweep(self) -> int:
        """Remove what has waited long enough; return how many files and folders. The collection's lock must be held."""
        ripe = self._ripe()
        for path in ripe:  # manifests first: without its own, the rest is no snapshot
            if path.is_dir():
                (path / "manifest.json").unlink(missing_ok=True)
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            del self._since[path]
        return len(ripe)

    def _ripe(self) -> list[Path]:
        before = time.monotonic() - self._seconds
        return [path for path, since in self._since.items() if since <= before]
