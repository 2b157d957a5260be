"""A question's vector -> the nearest chunks by cosine, over the segments of one snapshot."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.core.snapshot import Snapshot, ann
from app.core.types import Vectors
from app.retrieve.readable import Readable

Rows = npt.NDArray[np.int64]
"""Chunks of a snapshot, counted through its segments."""
Scores = npt.NDArray[np.float32]


class Dense(Protocol):
    """Who searches by vectors."""

    @property
    def waits(self) -> bool:
        """Whether a search waits for another machine: then it may not hold up the thread that embeds."""

    @property
    def identity(self) -> Mapping[str, object] | None:
        """What it adds to a release; nothing where the snapshot says it all."""

    def check(self, snapshot: Snapshot) -> None:
        """Make sure that all of a snapshot can be found.

        Raises:
            IndexUnusable: Something of it is missing; the message names what mends it.
        """

    def nearest(self, snapshot: Snapshot, vector: Vectors, *, k: int, within: Readable) -> tuple[Rows, Scores]:
        """Return the k nearest of the chunks that may be found, or all when there are fewer, and their cosines; best first.

        Raises:
            IndexUnusable: They can't be looked for.
        """


class Files:
    """FAISS, over the segments' own files."""

    waits = False
    identity = None

    def check(self, snapshot: Snapshot) -> None:
        """Do nothing: a snapshot's files are compared with their hashes when it is opened."""

    def nearest(self, snapshot: Snapshot, vector: Vectors, *, k: int, within: Readable) -> tuple[Rows, Scores]:
        """Search the indexes that the segments carry: exact ones, and inverted files where they are large."""
        import faiss

        query = vector.reshape(1, -1)
        rows, scores = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for number, segment in enumerate(snapshot.segments):
            count, allowed = within.counts[number], within.bits[number]
            if not count:
                continue
            # The filter holds inside the search: what may not be found takes no place among the k.
            found = None
            if segment.approximate is not None:
                share = count / len(segment.chunks)
                found = ann.search(segment.approximate, segment.entry["ann"], query, min(k, count), allowed, share)
            if found is None:
                only = None if allowed is None else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(allowed))  # type: ignore[call-arg,arg-type]
                best, (found,) = segment.index.search(query, min(k, count), params=only)
                scores.append(best[0])
            else:
                scores.append(segment.index.reconstruct_batch(found) @ vector)  # the lists hold half floats
            rows.append(found + within.first[number])
        every, near = np.concatenate(rows), np.concatenate(scores)
        order = np.lexsort((every, -near))[:k]
        return every[order], near[order]


FILES = Files()


def cosines(snapshot: Snapshot, vector: Vectors, rows: Rows, within: Readable) -> Scores:
    """Return the cosines of some chunks."""
    found = np.zeros(len(rows), dtype=np.float32)
    for number, segment in enumerate(snapshot.segments):
        here = np.flatnonzero((rows >= within.first[number]) & (rows < within.first[number + 1]))
        if len(here):
            found[here] = segment.index.reconstruct_batch(rows[here] - within.first[number]) @ vector
    return found
