"""A collection's snapshots -> object storage, where replicas read them: objects first, then the one object that names them.

What lies there is the truth, and the folder here a working copy of it. So a writer first brings the copy up to it; what it
then makes is seen there before it is seen here; and what is gone here goes there before a receipt says so. Killed in between,
the next run finds one of two states there, both complete.
"""

import json
from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core import snapshot, telemetry
from app.core.errors import IndexUnusable, Misconfigured, StorageUnavailable
from app.core.snapshot import Snapshot
from app.core.snapshot.head import Head, key_of, manifest_key, read_head, sha256_of
from app.core.snapshot.pull import REVISION, belongs_to, prune, pull
from app.core.snapshot.store import Store


class Remote:
    """One collection in a store, for the one who writes it. The collection's lock must be held."""

    def __init__(self, store: Store, root: Path, collection: str) -> None:
        self._store, self._root, self._collection = store, root, collection
        self._head: Head | None = None
        self._mending = False
        self._there: dict[str, int] | None = None
        """Objects and their sizes, as listed last: nobody else writes while we hold the lock."""

    def catch_up(self, *, mend: bool = False) -> None:
        """Bring the folder here to what the store holds, all of it: a new machine must not begin anew.

        Args:
            mend: Where nobody can read what the store holds, what is here counts.

        Raises:
            StorageUnavailable: The store can't be read.
            IndexUnusable: What is published there is damaged.
            Misconfigured: What is published here never came from there.
        """
        self._mending = mend
        try:
            self._head = read_head(self._store, self._collection)
        except IndexUnusable:
            if not mend:
                raise
        if self._head is None:
            return
        done = pull(self._store, self._root, self._collection, self._head, everything=True)
        for identity, detail in done.unusable.items():
            telemetry.log.warning("push", collection=self._collection, left_out=identity, detail=detail)
        usable = {identity: sha256 for identity, sha256 in self._head.manifests.items() if identity not in done.unusable}
        prune(self._root, self._collection, replace(self._head, manifests=usable), done.texts)

    def bring(self, made: Snapshot) -> None:
        """Put a snapshot that is verified and not yet published here, and publish it there."""
        self._send(made.snapshot_id, {made.snapshot_id: snapshot.manifest_bytes(made)})

    def relaid(self, made: Snapshot) -> None:
        """Do nothing yet: its manifest is put, and what it named before removed, when all is settled."""

    def point(self, identity: str) -> None:
        """Publish a snapshot there that is stored here."""
        self._send(identity, {})

    def renew(self, *, again: bool) -> str:
        """Put what is missing there or, ``again``, everything anew; return the id of what is published.

        Raises:
            IndexMissing: Nothing is published here.
            IndexUnusable: It is damaged.
        """
        opened = snapshot.open_current(self._root, self._collection)
        for fault in snapshot.verify(opened):
            raise IndexUnusable(f"{opened.snapshot_id} is damaged here too: {fault}. Nothing was put.")
        self._send(opened.snapshot_id, {}, whole=again)
        self.settle()
        return opened.snapshot_id

    def settle(self, erased: Set[str] = frozenset()) -> None:  # noqa: ARG002  what is erased has left the files here
        """Make what lies there what lies here: manifests that changed are put, and what is gone here is removed.

        Raises:
            StorageUnavailable: Something is still there.
        """
        current = snapshot.current_id(self._root, self._collection)
        if current is None:
            return
        named = self._send(current, {})
        kept = {key_of(self._collection), *named, *self._texts()}
        gone = [key for key in self._listed() if key not in kept]
        if gone:
            # Manifests and their segments are named by nothing any more; what a reader is fetching right now it fetches anew.
            self._store.remove(sorted(gone))
            left = self._listed(again=True).keys() - kept
            if left:
                raise StorageUnavailable(
                    f"{len(left)} object(s) at {self._store.url} could not be removed, such as {min(left)}. Check the rights to delete."
                )

    def _send(self, current: str, more: Mapping[str, bytes], *, whole: bool = False) -> Mapping[str, object]:
        """Put what is missing of every snapshot stored here and of ``more``, then the head; return the keys of all but texts."""
        base = snapshot.folder_of(self._root, self._collection)
        manifests = {
            identity: (base / "snapshots" / identity / "manifest.json").read_bytes()
            for identity in snapshot.stored(self._root, self._collection)
        } | dict(more)
        files = self._files(base, manifests)
        named = {manifest_key(self._collection, identity, sha256_of(data)): data for identity, data in manifests.items()}
        wanted = {key: path.stat().st_size for key, path in (files | self._texts()).items()}
        wanted |= {key: len(data) for key, data in named.items()}
        there = {} if whole else self._listed()
        missing = {key for key, size in wanted.items() if there.get(key) != size}
        for key in sorted(missing & files.keys()):
            self._store.send(key, files[key])
        self._put_texts(missing)
        self._store.put({key: named[key] for key in sorted(missing & named.keys())})
        if missing:
            there = self._listed(again=True)
            if short := {key for key, size in wanted.items() if there.get(key) != size}:
                raise StorageUnavailable(f"{self._store.url} does not hold what was put there, such as {min(short)}.")
        self._publish(current, {identity: sha256_of(data) for identity, data in manifests.items()})
        return {**files, **named}

    def _publish(self, current: str, manifests: dict[str, str]) -> None:
        before = self._head or Head(current, {}, self._history())
        head = before.naming(manifests, current)
        if head == self._head:
            return
        try:
            now = read_head(self._store, self._collection)
        except IndexUnusable:
            if not self._mending:
                raise
            now = None
        if now != self._head:
            raise Misconfigured(f"Another machine published `{self._collection}` at {self._store.url} meanwhile. Run this again.")
        self._store.put({key_of(self._collection): head.as_bytes()})
        belongs_to(snapshot.folder_of(self._root, self._collection), self._store)
        self._head = head

    def _listed(self, *, again: bool = False) -> dict[str, int]:
        if self._there is None or again:
            self._there = self._store.sizes(self._collection)
        return self._there

    def _files(self, base: Path, manifests: Mapping[str, bytes]) -> dict[str, Path]:
        entries: list[dict[str, Any]] = [entry for data in manifests.values() for entry in json.loads(data)["segments"]]
        return {
            f"{self._collection}/segments/{entry['id']}/{name}": base / "segments" / entry["id"] / name
            for entry in entries
            for name in entry["files"]
        }

    def _texts(self) -> dict[str, Path]:
        folder = snapshot.folder_of(self._root, self._collection) / "texts"
        found = folder.iterdir() if folder.is_dir() else ()
        return {f"{self._collection}/texts/{path.name}": path for path in found if REVISION.fullmatch(path.name)}

    def _put_texts(self, missing: set[str]) -> None:
        todo = [(key, path) for key, path in sorted(self._texts().items()) if key in missing]
        for at in range(0, len(todo), 1000):
            self._store.put({key: path.read_bytes() for key, path in todo[at : at + 1000]})

    def _history(self) -> tuple[tuple[str, str], ...]:
        return tuple((identity, at.isoformat()) for identity, at in snapshot.published(self._root, self._collection))
