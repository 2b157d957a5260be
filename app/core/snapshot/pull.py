"""A store's collection -> the same on this disk: what is missing is fetched and checked, and then CURRENT is set.

Readers look at the local CURRENT alone, so they see one complete snapshot or the next, and go on when the store is away.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.core.errors import IndexUnusable, Misconfigured
from app.core.snapshot.head import Head, manifest_key, sha256_of
from app.core.snapshot.layout import current_id, folder_of, fsync_folder, publish, stored, write_aside, write_together
from app.core.snapshot.segment import open_segment
from app.core.snapshot.store import Store

REVISION = re.compile(r"[0-9a-f]{64}")
_SEGMENT_ID = re.compile(r"seg_[0-9a-f]{16}")
_FILE = re.compile(r"[a-z]+\.[a-z]+")
_TOGETHER = 200


@dataclass
class Pulled:
    """What a pull did."""

    published: bool = False
    """CURRENT names another snapshot than before, or the same in another layout."""
    bytes: int = 0
    unusable: dict[str, str] = field(default_factory=dict)
    """Earlier snapshots that are damaged in the store, and how."""
    texts: frozenset[str] = frozenset()
    """Those that lie in the store."""


def pull(
    store: Store, root: Path, collection: str, head: Head, *, known: set[str] | None = None, everything: bool = False
) -> Pulled:
    """Bring a collection's folder to what a store holds, and point the local CURRENT at its published snapshot.

    Killed half-way, it leaves CURRENT as it was, and what was fetched is not fetched again.

    Args:
        store: Where it comes from.
        root: The folder of all collections.
        collection: Its name.
        head: What the store said is complete.
        known: Segments, as manifests name them, that were looked at before and need no second look; added to.
        everything: Earlier snapshots too, for one who writes; a reader needs the published one alone.

    Raises:
        StorageUnavailable: The store can't be read.
        Misconfigured: What is published here never came from there, nor went there.
        IndexUnusable: The published snapshot is not whole there, or is damaged; the local CURRENT is as it was.
    """
    known = set() if known is None else known
    base = folder_of(root, collection)
    _belongs(store, root, collection, head)
    done = Pulled(texts=_listed(store, collection))
    done.bytes += _texts(store, collection, base, done.texts)
    wanted = sorted(head.manifests, key=lambda identity: identity == head.snapshot) if everything else [head.snapshot]
    for identity in wanted:
        try:
            data = _manifest(store, base, collection, identity, head.manifests[identity])
            for entry in json.loads(data)["segments"]:
                done.bytes += _segment(store, base, collection, entry, known)
        except IndexUnusable as error:
            if identity == head.snapshot:
                raise
            done.unusable[identity] = error.detail or error.message
            continue
        target = base / "snapshots" / identity / "manifest.json"
        if _bytes(target) != data:
            write_aside(target, data)
            fsync_folder(target.parent.parent)
            fsync_folder(base)
            done.published |= identity == head.snapshot
    belongs_to(base, store)
    if current_id(root, collection) != head.snapshot:
        if everything:
            _remember(base, head)
        publish(root, collection, head.snapshot)
        done.published = True
    return done


def prune(root: Path, collection: str, head: Head, texts: frozenset[str]) -> None:
    """Drop what lies here and not in the store: a copy that stayed behind may hold what was erased since, and must not put it back.

    Args:
        root: The folder of all collections.
        collection: Its name.
        head: What the store said is complete; it was pulled.
        texts: Those that lie in the store.
    """
    base = folder_of(root, collection)
    for identity in stored(root, collection):
        path = base / "snapshots" / identity / "manifest.json"
        if sha256_of(path.read_bytes()) != head.manifests.get(identity):
            path.unlink()  # its segments are named by nothing then, and the next cleaning takes them
    for path in (base / "texts").glob("*"):
        if path.name not in texts:
            path.unlink()


def belongs_to(base: Path, store: Store) -> None:
    """Note that a collection's folder is a copy of what lies in a store."""
    if _bytes(base / "STORE") != store.url.encode():
        write_aside(base / "STORE", store.url.encode())


def _belongs(store: Store, root: Path, collection: str, head: Head) -> None:
    current = current_id(root, collection)
    if current is None or current in head.manifests or _bytes(folder_of(root, collection) / "STORE") == store.url.encode():
        return
    raise Misconfigured(
        f"Two collections are called `{collection}`: one lies in {root}, and another, which never came from it, at {store.url}. "
        "Name an empty folder with CITEWELL_INDEXES_DIR to go on with the second, or another CITEWELL_INDEXES_URL to keep the first."
    )


@contextmanager
def undisturbed(root: Path, collection: str) -> Iterator[bool]:
    """Hold the collection's lock if nobody else does; yields whether. Whoever writes it here is ahead of the store."""
    folder = folder_of(root, collection)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "LOCK").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _listed(store: Store, collection: str) -> frozenset[str]:
    names = (key.rpartition("/")[2] for key in store.sizes(f"{collection}/texts"))
    return frozenset(name for name in names if REVISION.fullmatch(name))


def _texts(store: Store, collection: str, base: Path, listed: frozenset[str]) -> int:
    """Fetch the texts that are not here. A damaged one is left out: whether a snapshot needs it shows later."""
    folder, size = base / "texts", 0
    missing = sorted(listed - (set(os.listdir(folder)) if folder.is_dir() else set()))
    for at in range(0, len(missing), _TOGETHER):
        some = [f"{collection}/texts/{revision}" for revision in missing[at : at + _TOGETHER]]
        found = {key.rpartition("/")[2]: data for key, data in store.get_all(some)}
        whole = {folder / revision: data for revision, data in found.items() if sha256_of(data) == revision}
        write_together(whole)
        size += sum(map(len, whole.values()))
    return size


def _manifest(store: Store, base: Path, collection: str, identity: str, sha256: str) -> bytes:
    here = _bytes(base / "snapshots" / identity / "manifest.json")
    if here is not None and sha256_of(here) == sha256:
        return here
    data = store.get(manifest_key(collection, identity, sha256))
    if data is None or sha256_of(data) != sha256:
        raise store.damaged(f"the manifest of {identity} {'is missing' if data is None else 'does not match its hash'}")
    return data


def _segment(store: Store, base: Path, collection: str, entry: dict[str, Any], known: set[str]) -> int:
    """See that a segment is here and whole, and that each of its documents has its text; return how much was fetched."""
    fingerprint = json.dumps(entry, sort_keys=True)
    if fingerprint in known:
        return 0
    dropped, size = entry["dropped"], 0
    entry = {name: value for name, value in entry.items() if name != "dropped"}
    if not _SEGMENT_ID.fullmatch(entry["id"]) or not all(_FILE.fullmatch(name) for name in entry["files"]):
        raise store.damaged("a manifest names files that are none of an index")
    try:
        segment = open_segment(base, entry)
    except (OSError, ValueError, KeyError, RuntimeError):
        size = _fetch(store, base, collection, entry["id"], entry["files"])
        segment = open_segment(base, entry)
    kept = np.ones(len(segment.documents), dtype=bool)
    kept[dropped] = False
    for line in np.flatnonzero(kept):
        revision = segment.document(int(line)).revision
        if not (base / "texts" / revision).exists():
            raise store.damaged(f"texts/{revision} is missing or does not match its hash")
    known.add(fingerprint)
    return size


def _fetch(store: Store, base: Path, collection: str, identity: str, files: Mapping[str, str]) -> int:
    folder, size = base / "segments" / identity, 0
    for name, sha256 in files.items():
        here = _bytes(folder / name)  # what an earlier try brought is not fetched again
        if here is None or sha256_of(here) != sha256:
            store.fetch(f"{collection}/segments/{identity}/{name}", folder / name, sha256)
            size += (folder / name).stat().st_size
    fsync_folder(folder.parent)
    return size


def _remember(base: Path, head: Head) -> None:
    """Know what was published from other machines: what is kept, and what a rollback goes to, follows from it."""
    path = base / "PUBLISHED"
    lines = (_bytes(path) or b"").decode().splitlines()
    lines += [json.dumps({"snapshot": identity, "at": at}) for identity, at in head.published]
    ordered = sorted(dict.fromkeys(lines), key=lambda line: str(json.loads(line)["at"]))
    write_aside(path, ("\n".join(ordered) + "\n").encode())


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
