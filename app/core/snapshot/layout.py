"""Where a collection's files lie, which snapshot is published, and how a file is written so that a crash can't tear it."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from app.core.errors import CollectionUnknown

COLLECTION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SNAPSHOT_ID = re.compile(r"snap_[0-9a-f]{16}")


class Draft:
    """A file that is hashed while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, piece: bytes) -> int:
        """Take the next piece."""
        self.sha256.update(piece)
        return self._file.write(piece)


Writing = Callable[[Draft], object]
"""Writes a file a piece at a time, where nobody should hold all of it."""


def folder_of(root: Path, collection: str) -> Path:
    """Return the folder of a collection.

    Raises:
        CollectionUnknown: The name is none that a collection can have (so it never names a path).
    """
    if not COLLECTION_NAME.fullmatch(collection):
        raise CollectionUnknown(
            "A collection's name has 1 to 64 of the characters a-z, 0-9, - and _, and begins with a letter or digit."
        )
    return root / collection


def collections(root: Path) -> list[str]:
    """Return the names of the collections that have a published snapshot, sorted."""
    if not root.is_dir():
        return []
    return sorted(
        entry.name for entry in root.iterdir() if COLLECTION_NAME.fullmatch(entry.name) and (entry / "CURRENT").is_file()
    )


def current_id(root: Path, collection: str) -> str | None:
    """Return the id of the published snapshot; None when nothing was ever published."""
    try:
        return (folder_of(root, collection) / "CURRENT").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def stored(root: Path, collection: str) -> list[str]:
    """Return the ids of all snapshots that have a manifest, published or not, sorted."""
    folder = folder_of(root, collection) / "snapshots"
    if not folder.is_dir():
        return []
    return sorted(
        entry.name for entry in folder.iterdir() if SNAPSHOT_ID.fullmatch(entry.name) and (entry / "manifest.json").is_file()
    )


def stamp(root: Path, collection: str) -> tuple[str, int, int] | None:
    """Return what changes whenever a reader has something new to open: the published id, and its manifest's file."""
    identity = current_id(root, collection)
    if identity is None:
        return None
    try:
        facts = (folder_of(root, collection) / "snapshots" / identity / "manifest.json").stat()
    except OSError:
        return identity, 0, 0
    return identity, facts.st_mtime_ns, facts.st_ino


def publish(root: Path, collection: str, identity: str) -> None:
    """Point CURRENT at a snapshot that was written and verified. Readers see the old id or the new one, never half of one."""
    base = folder_of(root, collection)
    line = json.dumps({"snapshot": identity, "at": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n"
    history = base / "PUBLISHED"
    write_aside(history, (history.read_bytes() if history.exists() else b"") + line.encode())
    write_aside(base / "CURRENT", identity.encode())


def published(root: Path, collection: str) -> list[tuple[str, datetime]]:
    """Return what was ever published and when, oldest first; the last is CURRENT unless a crash came between."""
    try:
        lines = (folder_of(root, collection) / "PUBLISHED").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows = [json.loads(line) for line in lines]
    return [(row["snapshot"], datetime.fromisoformat(row["at"])) for row in rows]


def write_aside(target: Path, data: bytes) -> None:
    """Write one file so that after a crash it is whole or absent."""
    write_together({target: data})


def write_together(files: Mapping[Path, bytes | Writing]) -> dict[Path, str]:
    """Write files under other names, flush them to the disk, rename them, flush their folders: each is whole or absent.

    Together they cost one flush of a folder instead of one a file.

    Args:
        files: What each holds, or who writes it.

    Returns:
        The sha256 of each, in hex digits.
    """
    drafts = {target: target.with_name(f".{target.name}.{os.getpid()}.tmp") for target in files}
    hashes = {}
    try:
        for target, draft in drafts.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            content = files[target]
            with draft.open("wb") as file:
                written = Draft(file)
                written.write(content) if isinstance(content, bytes) else content(written)
                file.flush()
                os.fsync(file.fileno())
            hashes[target] = written.sha256.hexdigest()
        for target, draft in drafts.items():
            os.replace(draft, target)
        for folder in dict.fromkeys(target.parent for target in files):
            fsync_folder(folder)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return hashes


def fsync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk: a file's own flush does not keep its name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
