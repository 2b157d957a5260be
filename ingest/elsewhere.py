"""Segments -> Milvus, before a snapshot that needs them is published; and out of it what no snapshot needs.

A segment is whole there once its mark is. A writer that was killed before that leaves rows without one, which the next replaces or
removes. What is not needed any more stays a while, for servers that have not followed yet; erased documents go at once.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from app.core import snapshot
from app.core.config import Settings
from app.core.errors import IndexUnusable
from app.core.milvus import MOST_LISTED, WRITE_S, Mark, Milvus, MilvusVectors, within
from app.core.numbers import field_number, listed, principal_number
from app.core.snapshot import Segment, Snapshot
from app.core.types import Document
from ingest.publish import Copies

GRACE_S = 600.0
"""Seconds from when a segment was seen not to be needed until it is removed: twice of what a reader still searches it for."""
_ROWS = 500
"""A call carries them: 1 MB at 384 dimensions."""
_NAMED = 1_000


class Lists(Protocol):
    """What the database knows of access lists."""

    def lists(self) -> tuple[int, Mapping[str, frozenset[str] | None]]:
        """An epoch, and lists that are at least as new."""

    def changed(self, epoch: int) -> frozenset[str]:
        """Documents whose list changed after an epoch."""


class Elsewhere:
    """One collection's copies in Milvus. The collection's lock must be held."""

    def __init__(self, server: Milvus, root: Path, collection: str, books: Lists) -> None:
        self._server, self._root, self._collection, self._books = server, root, collection, books

    def bring(self, made: Snapshot) -> None:
        """Store the segments of a snapshot that are not there.

        Raises:
            IndexUnusable: Milvus can't be reached; nothing may be published that it lacks.
        """
        held = self._server.vectors(self._collection, int(made.manifest["embedder"]["dim"]))
        self._store(held, {segment.segment_id: partial(_itself, segment) for segment in made.segments})

    def relaid(self, made: Snapshot) -> None:
        """Store the segments that a kept snapshot has now."""
        self.bring(made)

    def settle(self, erased: Set[str]) -> None:
        """Do ``keep`` for what is stored here."""
        stored = snapshot.stored(self._root, self._collection)
        self.keep([snapshot.read_manifest(self._root, self._collection, identity) for identity in stored], erased)

    def keep(self, manifests: Sequence[Mapping[str, Any]], erased: Set[str]) -> None:
        """Store what kept snapshots need and is not there, bring access lists up to date, and remove the rest.

        Raises:
            IndexUnusable: Milvus can't be reached, or still holds an erased document.
        """
        needed: dict[int, dict[str, Mapping[str, Any]]] = {}
        for manifest in manifests:
            of_dim = needed.setdefault(int(manifest["embedder"]["dim"]), {})
            of_dim |= {entry["id"]: entry for entry in manifest["segments"]}
        base, family = snapshot.folder_of(self._root, self._collection), self._server.family(self._collection)
        for dim, entries in needed.items():
            held = self._server.vectors(self._collection, dim)
            # A segment is opened, and all of it read, only where it is missing there.
            self._store(held, {name: partial(snapshot.open_segment, base, entry) for name, entry in entries.items()})
            if held.exist():
                self._remove(held, set(entries), erased)
        kept = {self._server.vectors(self._collection, dim).name for dim in needed}
        for name in self._server.names():
            rest = name.removeprefix(family)
            if rest != name and rest.isdecimal() and name not in kept:
                self._server.vectors(self._collection, int(rest)).drop()

    def _store(self, held: MilvusVectors, segments: Mapping[str, Callable[[], Segment]]) -> None:
        if not segments:
            return
        if not held.exist():
            held.create()
        held.load(wait=WRITE_S)
        marks = held.marks()
        epoch, lists = self._books.lists()
        for name, opened in segments.items():
            mark = marks.get(name)
            if mark is not None and mark.acl_epoch == epoch and not mark.unneeded_since:
                continue
            if mark is None:
                segment = opened()
                held.remove(within("segment", [name]))  # of a writer that was killed: it may have come far
                _insert(held, segment, lists)
                mark = Mark(len(segment.chunks), epoch)
            elif mark.acl_epoch > epoch:  # the database was put back: nobody knows which lists differ
                _renew(held, opened(), lists, None)
            elif changed := self._books.changed(mark.acl_epoch):
                _renew(held, opened(), lists, changed)
            held.mark(name, Mark(mark.chunks, epoch))

    def _remove(self, held: MilvusVectors, needed: Set[str], erased: Set[str]) -> None:
        names = sorted(erased)
        for start in range(0, len(names), _NAMED):
            which = within("document", names[start : start + _NAMED])
            held.remove(which)
            if held.count(which):
                raise IndexUnusable("Milvus still holds rows of a deleted document. Try `citewell index gc` again.")
        now = int(time.time())
        marks = held.marks()
        for name in marks.keys() - needed:
            mark = marks[name]
            if not mark.unneeded_since:
                held.mark(name, Mark(mark.chunks, mark.acl_epoch, now))
            elif mark.unneeded_since < now - GRACE_S:
                held.remove(f'id == "{name}"')  # first: without it the rest is no segment
        # Rows without a mark: of a writer that was killed, or of what was just removed.
        whole = sorted(held.marks())
        held.remove(f"not ({within('segment', ['-', *whole])})")


def _insert(held: MilvusVectors, segment: Segment, lists: Mapping[str, frozenset[str] | None]) -> None:
    for rows in _batches(range(len(segment.chunks))):
        held.insert(_rows(segment, rows, lists))


def _renew(
    held: MilvusVectors, segment: Segment, lists: Mapping[str, frozenset[str] | None], documents: Iterable[str] | None
) -> None:
    if documents is None:
        wanted: Iterable[int] = range(len(segment.chunks))
    else:
        lines = [line for document in documents if (line := segment.line_of(document)) is not None]
        wanted = [row for line in sorted(lines) for row in range(*segment.rows_of(line))]
    for rows in _batches(list(wanted)):
        held.replace(_rows(segment, rows, lists))


def _itself(segment: Segment) -> Segment:
    return segment


def _batches(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    return (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))


def _rows(segment: Segment, rows: Sequence[int], lists: Mapping[str, frozenset[str] | None]) -> list[dict[str, Any]]:
    vectors = segment.index.reconstruct_batch(np.asarray(rows, dtype=np.int64))
    lines = segment.chunks["document"][list(rows)].tolist()
    of_document = {line: _numbers(segment.document(line), lists) for line in dict.fromkeys(lines)}
    name = segment.segment_id
    return [
        {"id": f"{name}:{row}", "segment": name, "row": int(row), "vector": vector, **of_document[line]}
        for row, line, vector in zip(rows, lines, vectors, strict=True)
    ]


def _numbers(document: Document, lists: Mapping[str, frozenset[str] | None]) -> dict[str, Any]:
    readers = {principal_number(name) for name in lists.get(document.document_id) or ()}
    fields = {
        field_number(name, one)
        for name, value in document.metadata.items()
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, str | bool | int | float)
    }
    return {
        "document": document.document_id,
        "readers": listed(readers, MOST_LISTED),
        "fields": listed(fields, MOST_LISTED),
    }


def elsewhere(settings: Settings, collection: str, books: Lists, remote: Copies | None) -> list[Copies]:
    """Return where copies of a collection must be: in Milvus, if the settings name it, and in object storage, if it is given.

    Raises:
        Misconfigured: It needs a package that is not installed.
    """
    copies: list[Copies] = []
    if settings.milvus.uri is not None:
        copies.append(Elsewhere(Milvus(settings.milvus), settings.indexes_dir, collection, books))
    if remote is not None:
        copies.append(remote)  # last: with it a replica takes up the snapshot, and searches it in Milvus
    return copies
