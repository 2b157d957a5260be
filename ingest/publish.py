"""A snapshot's content -> files, verified -> CURRENT. Nothing is visible before the last step, and all of it after."""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.core import snapshot
from app.core.errors import IndexUnusable, Misconfigured
from app.core.snapshot import NewDocument


@contextmanager
def exclusive(root: Path, collection: str) -> Iterator[None]:
    """Hold the collection's lock: two writers at once would each drop what the other added.

    Raises:
        Misconfigured: Another process is ingesting into it.
    """
    folder = snapshot.folder_of(root, collection)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "LOCK").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when we die
        except BlockingIOError:
            raise Misconfigured(f"Another ingest into `{collection}` is running. Wait for it, then try again.") from None
        yield
    if [entry.name for entry in folder.iterdir()] == ["LOCK"]:
        (folder / "LOCK").unlink(missing_ok=True)  # nothing came of it: leave no empty collection behind
        folder.rmdir()


def publish(
    root: Path, collection: str, documents: Sequence[NewDocument], *, built_with: Mapping[str, Any], notes: Mapping[str, Any]
) -> tuple[str, bool]:
    """Write a snapshot, verify it as a reader would, and point CURRENT at it.

    Returns:
        The snapshot's id, and whether it is another one than before.

    Raises:
        IndexUnusable: What was written does not verify; CURRENT is as it was.
    """
    identity = snapshot.snapshot_id((item.document for item in documents), built_with)
    if identity == snapshot.current_id(root, collection) and _sound(root, collection, identity):
        return identity, False
    if not _sound(root, collection, identity):  # one that is there, from before a change was taken back, serves again
        snapshot.write_snapshot(root, collection, documents, built_with=built_with, notes=notes)
    faults = list(snapshot.verify(snapshot.open_snapshot(root, collection, identity)))
    if faults:
        raise IndexUnusable(f"The new snapshot does not verify and was not published: {faults[0]}", detail="; ".join(faults))
    snapshot.publish(root, collection, identity)
    return identity, True


def _sound(root: Path, collection: str, identity: str) -> bool:
    try:
        return not list(snapshot.verify(snapshot.open_snapshot(root, collection, identity)))
    except IndexUnusable:
        return False
