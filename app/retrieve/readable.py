"""Which chunks of a snapshot a caller may be shown: those of documents that are not erased, that it may read, and that pass its filters.

Decided before anything is searched, and applied inside both searches, so that k readable hits come back when k exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from app.core.snapshot import Flags, Segment, Snapshot
from app.core.types import Caller, Document
from app.retrieve.filters import Filters, passing

EVERYONE = "*"
"""The principal that every caller has."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the database says of a collection's documents now; the epochs tell one from the next."""

    erasure_epoch: int = 0
    acl_epoch: int = 0
    erased: frozenset[str] = frozenset()
    readers: Mapping[str, frozenset[str]] | None = None
    """Who may read each document; None where access lists don't bind. A document that is not in it is read by nobody."""


def principals(caller: Caller) -> frozenset[str]:
    """Return everything a caller stands for."""
    return frozenset((*caller.principals, EVERYONE))


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides which documents may be shown, beside the snapshot and its erasures; for a search that can't take flags."""

    acl_epoch: int
    principals: frozenset[str] | None
    """Of whom one must be on a document's list; None where lists don't bind."""
    filters: Filters


@dataclass(frozen=True)
class Readable:
    """Flags for the chunks of each segment; None where all are set."""

    live: tuple[Flags | None, ...]
    """In the snapshot and not erased: what words are counted over."""
    allowed: tuple[Flags | None, ...]
    """Of these, what this caller may be shown, and its filters pass."""
    first: tuple[int, ...]
    """The number of each segment's first chunk, counted through the snapshot; last, how many there are."""
    chunks: int
    """How many are live."""
    mean_length: float
    """Words of a live chunk."""
    documents: tuple[Flags, ...]
    """Flags for the documents of each segment that may be shown."""
    asked: Asked
    """What it was worked out from."""

    def ids(self, snapshot: Snapshot) -> list[str]:
        """Return the id of every document that may be shown, sorted."""
        found = (s.documents["id"][flags] for s, flags in zip(snapshot.segments, self.documents, strict=True))
        return sorted(i.decode() for ids in found for i in ids.tolist())

    def document(self, snapshot: Snapshot, document_id: str) -> Document | None:
        """Return a document that may be shown; None for any other."""
        place = snapshot.place(document_id)
        shown = place is not None and self.documents[place.segment][place.line]
        return snapshot.document(document_id) if shown else None

    def place(self, row: int) -> tuple[int, int]:
        """Return the segment of a chunk, and its row there."""
        number = int(np.searchsorted(self.first, row, side="right")) - 1
        return number, row - self.first[number]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many chunks of each segment may be found."""
        sizes = (b - a for a, b in zip(self.first, self.first[1:], strict=False))
        return tuple(
            size if flags is None else int(np.count_nonzero(flags)) for size, flags in zip(sizes, self.allowed, strict=True)
        )

    @cached_property
    def bits(self) -> tuple[npt.NDArray[np.uint8] | None, ...]:
        """The same as FAISS wants it, eight flags a byte."""
        return tuple(None if flags is None else np.packbits(flags, bitorder="little") for flags in self.allowed)


def readable(snapshot: Snapshot, access: Access, caller: Caller, filters: Filters) -> Readable:
    """Work out what a caller may be shown of a snapshot.

    Raises:
        FilterUnknown: No document that it may read has such a field.
        InvalidRequest: A filter's value is of another type than the field's.
    """
    erased = np.array(sorted(access.erased), dtype="S24")
    live = [_without(segment, kept, erased) for segment, kept in zip(snapshot.segments, snapshot.kept, strict=True)]
    shown = live
    mine = principals(caller) if access.readers is not None and "admin" not in caller.scopes else None
    if access.readers is not None and mine is not None:
        ids = np.array(sorted(d for d, who in access.readers.items() if not who.isdisjoint(mine)), dtype="S24")
        shown = [flags & np.isin(s.documents["id"], ids) for s, flags in zip(snapshot.segments, live, strict=True)]
    if filters:
        shown = passing(snapshot.segments, shown, filters)
    rows_live = [_rows(segment, flags) for segment, flags in zip(snapshot.segments, live, strict=True)]
    lengths = [
        s.postings.lengths if rows is None else s.postings.lengths[rows]
        for s, rows in zip(snapshot.segments, rows_live, strict=True)
    ]
    chunks = sum(len(some) for some in lengths)
    return Readable(
        live=tuple(rows_live),
        allowed=tuple(_rows(segment, flags) for segment, flags in zip(snapshot.segments, shown, strict=True)),
        first=tuple(int(n) for n in np.cumsum([0, *(len(segment.chunks) for segment in snapshot.segments)])),
        chunks=chunks,
        mean_length=max(sum(int(some.sum(dtype=np.int64)) for some in lengths) / max(chunks, 1), 1.0),
        documents=tuple(shown),
        asked=Asked(access.acl_epoch, mine, filters),
    )


def _without(segment: Segment, kept: Flags, erased: npt.NDArray[np.bytes_]) -> Flags:
    return kept & ~np.isin(segment.documents["id"], erased) if len(erased) else kept


def _rows(segment: Segment, documents: Flags) -> Flags | None:
    return None if documents.all() else documents[segment.chunks["document"]]
