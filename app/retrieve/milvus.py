"""A question's vector -> the nearest chunks, found by Milvus: access lists and filters go with the search, as numbers.

What comes back is only proposed. Each row is held against the flags that the database's rows make, so that neither a list that changed
since, nor two names of one number, shows a chunk to who may not read it. And where too few pass, the search goes deeper, at last into
the segments' files: k of what may be found come back, or all.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TypeVar

import numpy as np

from app.core import telemetry
from app.core.errors import IndexUnusable
from app.core.milvus import LOOK_S, MOST_FOUND, Milvus, MilvusVectors, holding, within
from app.core.numbers import OVERFULL, field_number, principal_number
from app.core.snapshot import Snapshot
from app.core.types import Vectors
from app.retrieve.dense import FILES, Rows, Scores, cosines
from app.retrieve.filters import Scalar
from app.retrieve.readable import Asked, Readable

IDENTITY: Mapping[str, object] = {"name": "milvus/1"}
"""Part of the release: an approximate index may find other chunks than the files do."""

_K = TypeVar("_K")
_V = TypeVar("_V")

Changed = Callable[[str, int], frozenset[str]]
"""Collection, epoch -> the documents whose access list changed after it."""

SURE_S = 30.0
"""Seconds for which a look at what Milvus holds is trusted."""
LATE_S = 300.0
"""Seconds after which a segment that no kept snapshot needs is searched no more; ingest removes it some time later."""
_MOST_NAMED = 10_000
"""Documents whose lists changed, up to which they are named one by one."""
_DEEPER = 8
_REMEMBERED = 8


class MilvusDense:
    """Searches by vectors, on another machine."""

    waits = True
    identity = IDENTITY

    def __init__(self, server: Milvus, changed: Changed) -> None:
        """Take a server, and who knows which access lists changed."""
        self._server, self._changed = server, changed
        self._sure: OrderedDict[object, tuple[float, int]] = OrderedDict()
        """Segments -> until when they are taken as whole, and the oldest epoch of their access lists."""
        self._lists: OrderedDict[object, frozenset[str]] = OrderedDict()
        self._lock = Lock()

    def check(self, snapshot: Snapshot) -> None:
        """Compare what Milvus holds with the segments: all rows of each, no more and no fewer.

        Raises:
            IndexUnusable: It does not, or can't be reached.
        """
        self._look(snapshot, wait=LOOK_S)
        segments, held = _segments(snapshot), self._held(snapshot)
        chunks = sum(len(segment.chunks) for segment in snapshot.segments)
        there = held.count(within("segment", segments)) if segments else 0
        if there != chunks:
            raise _incomplete(snapshot, f"{there} rows of {chunks} chunks")

    def nearest(self, snapshot: Snapshot, vector: Vectors, *, k: int, within: Readable) -> tuple[Rows, Scores]:
        """Search as deep as k chunks that may be found need.

        Raises:
            IndexUnusable: Milvus can't be reached, was too slow, or does not hold all of the snapshot.
        """
        wanted = min(k, sum(within.counts))
        if not wanted:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        until = time.monotonic() + self._server.seconds
        which = self._expression(snapshot, within, self._oldest(snapshot))
        limit, held = min(2 * k, MOST_FOUND), self._held(snapshot)
        while True:
            try:
                found = held.search(vector, which, limit, until=until)
            except IndexUnusable:
                self._doubt(snapshot)
                raise
            rows = _passing(snapshot, found, within)
            if len(rows) >= wanted:
                break
            if len(found) < limit or limit == MOST_FOUND:
                # What passes is rare among what Milvus was asked for, so few vectors are read.
                telemetry.log.warning("milvus", collection=snapshot.collection, found=len(rows), wanted=wanted)
                return FILES.nearest(snapshot, vector, k=k, within=within)
            limit = min(limit * _DEEPER, MOST_FOUND)
        near = cosines(snapshot, vector, rows, within)  # by the files' own vectors: the same on either side
        order = np.lexsort((rows, -near))[:k]
        return rows[order], near[order]

    def _held(self, snapshot: Snapshot) -> MilvusVectors:
        return self._server.vectors(snapshot.collection, int(snapshot.manifest["embedder"]["dim"]))

    def _oldest(self, snapshot: Snapshot) -> int:
        with self._lock:
            until, oldest = self._sure.get(tuple(_segments(snapshot)), (0.0, 0))
        return oldest if time.monotonic() < until else self._look(snapshot, wait=self._server.seconds)

    def _doubt(self, snapshot: Snapshot) -> None:
        """Look anew at the next search: the server may have been started again, and loads nothing by itself."""
        with self._lock:
            self._sure.pop(tuple(_segments(snapshot)), None)

    def _look(self, snapshot: Snapshot, *, wait: float) -> int:
        """See that the segments are whole; return the oldest epoch of access lists in them."""
        segments = _segments(snapshot)
        if not segments:
            return 0
        sure, late = time.monotonic() + SURE_S, time.time() - LATE_S
        held = self._held(snapshot)
        marks = {}
        if held.exist():
            held.load(wait=wait)
            marks = held.marks()
        for segment in segments:
            mark = marks.get(segment)
            if mark is None:
                raise _incomplete(snapshot, f"{segment} is not there, or not all of it")
            if mark.unneeded_since and mark.unneeded_since < late:
                raise _incomplete(snapshot, f"{segment} is about to be removed: this snapshot is not kept any more")
        oldest = min(marks[segment].acl_epoch for segment in segments)
        _remember(self._sure, self._lock, tuple(segments), (sure, oldest))
        return oldest

    def _expression(self, snapshot: Snapshot, mask: Readable, oldest: int) -> str:
        """Return an expression that holds for every row that may be found, and for few others."""
        counts = zip(snapshot.segments, mask.counts, strict=True)
        parts = [within("segment", [segment.segment_id for segment, count in counts if count])]
        if mask.asked.principals is not None and mask.asked.acl_epoch >= oldest:
            newer = self._changed_after(snapshot.collection, oldest, mask.asked)
            if len(newer) <= _MOST_NAMED:
                mine = holding("readers", sorted({OVERFULL, *map(principal_number, mask.asked.principals)}))
                parts.append(f"({mine} or {within('document', sorted(newer))})" if newer else mine)
        for name, wanted in mask.asked.filters.items():
            values: Sequence[Scalar] = wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
            parts.append(holding("fields", sorted({OVERFULL, *(field_number(name, value) for value in values)})))
        return " and ".join(parts)

    def _changed_after(self, collection: str, epoch: int, asked: Asked) -> frozenset[str]:
        """Return whose lists are newer than the rows in Milvus, at least up to the epoch of the flags."""
        if epoch == asked.acl_epoch:
            return frozenset()
        key = collection, epoch, asked.acl_epoch
        with self._lock:
            known = self._lists.get(key)
        if known is None:
            known = self._changed(collection, epoch)
            _remember(self._lists, self._lock, key, known)
        return known


def _segments(snapshot: Snapshot) -> list[str]:
    return [segment.segment_id for segment in snapshot.segments]


def _passing(snapshot: Snapshot, found: Sequence[tuple[str, int]], mask: Readable) -> Rows:
    """Return the rows that may be found, counted through the snapshot, in the order in which they were found."""
    numbers = {segment.segment_id: number for number, segment in enumerate(snapshot.segments)}
    rows = dict.fromkeys(
        mask.first[number] + row
        for segment, row in found
        if (number := numbers.get(segment)) is not None and ((flags := mask.allowed[number]) is None or flags[row])
    )
    return np.array(list(rows), dtype=np.int64)


def _remember(known: OrderedDict[_K, _V], lock: Lock, key: _K, value: _V) -> None:
    with lock:
        known[key] = value
        known.move_to_end(key)
        while len(known) > _REMEMBERED:
            known.popitem(last=False)


def _incomplete(snapshot: Snapshot, detail: str) -> IndexUnusable:
    return IndexUnusable(
        f"Milvus does not hold the vectors of `{snapshot.collection}` as its snapshot needs them. "
        f"`citewell index gc --collection {snapshot.collection}` puts them there.",
        detail=f"{snapshot.snapshot_id}: {detail}",
    )
