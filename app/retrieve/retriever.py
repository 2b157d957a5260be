"""Question -> hits: lexical and dense search side by side, fused."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Literal

import faiss
import numpy as np

from app.core.errors import IndexUnusable
from app.core.snapshot import Snapshot
from app.core.types import LOCAL, Caller, Hit, Vectors
from app.core.words import IDENTITY as WORDS
from app.core.words import words
from app.retrieve import dense, lexical
from app.retrieve.dense import FILES, Dense, Rows, Scores
from app.retrieve.filters import Filters
from app.retrieve.fuse import SPREAD, fuse
from app.retrieve.readable import Access, Readable, principals, readable
from app.retrieve.rerank import Reranker, reranked

IDENTITY = "hybrid/1"
"""Part of the release."""

Way = Literal["dense", "bm25", "fused"]

DEPTH = 100
"""Candidates of each side that are fused, however few are asked for."""
RERANKED = 20
"""Hits that a reranker looks at at least."""
_REMEMBERED = 64


class Retriever:
    """Searches one snapshot; built again for the next."""

    def __init__(
        self,
        snapshot: Snapshot,
        embed: Callable[[Sequence[str]], Vectors],
        embedder: dict[str, object],
        rerank: Reranker | None = None,
        dense: Dense = FILES,
    ) -> None:
        """Open a snapshot for searching.

        Args:
            snapshot: An open one.
            embed: Texts -> unit rows.
            embedder: The identity of what embeds.
            rerank: Scores the best of both sides anew.
            dense: Searches by vectors.

        Raises:
            IndexUnusable: Its vectors were made by another embedder, or its words by other rules; or they are not all there.
        """
        built, spoken = snapshot.manifest["embedder"], snapshot.manifest["words"]
        if (built, spoken) != (embedder, WORDS):
            raise IndexUnusable(
                f"The index of `{snapshot.collection}` was built with the embedder `{built['name']}` and {spoken}, which are not "
                f"those in use. Ingest the documents again, or set CITEWELL_EMBEDDER back.",
                detail=f"index {built}, settings {embedder}",
            )
        # One thread a query, parallel over requests: two on busy cores were 2 to 40 times slower.
        faiss.omp_set_num_threads(1)
        dense.check(snapshot)
        self.snapshot = snapshot
        self.dense = dense
        self._embed = embed
        self.rerank = rerank
        self._known: OrderedDict[object, Readable] = OrderedDict()
        self._lock = Lock()

    def readable(self, access: Access, caller: Caller, filters: Filters) -> Readable:
        """Return what a caller may be shown, under the epochs that ``access`` has; remembered while they last.

        Raises:
            FilterUnknown: No document that it may read has such a field.
            InvalidRequest: A filter's value is of another type than the field's.
        """
        found = None if filters else self.remembered(access, caller)
        if found is None:
            found = readable(self.snapshot, access, caller, filters)
            if not filters:
                with self._lock:
                    self._known[_key(access, caller)] = found
                    while len(self._known) > _REMEMBERED:
                        self._known.popitem(last=False)
        return found

    def remembered(self, access: Access, caller: Caller) -> Readable | None:
        """Return the same without filters, if it was worked out before."""
        with self._lock:
            return self._known.get(_key(access, caller))

    def search(self, question: str, *, k: int, within: Readable | None = None, way: Way | None = None) -> list[Hit]:
        """Return the k best chunks for a question, or all that may be found when there are fewer; best first.

        Args:
            question: What is looked for.
            k: How many.
            within: What may be found; everything in the snapshot when not given.
            way: One side alone, or both without the reranker, to measure them.
        """
        return self.find(question, self._embed([question])[0], k=k, within=within, way=way)

    def find(
        self, question: str, vector: Vectors, *, k: int, within: Readable | None = None, way: Way | None = None
    ) -> list[Hit]:
        """Do the same for a question whose vector, a unit row of shape (dim,), is at hand."""
        within = within or self.readable(Access(), LOCAL, {})
        depth = max(DEPTH, k)
        rows, cosines = self.dense.nearest(self.snapshot, vector, k=depth, within=within)
        score: Scores = cosines
        if way != "dense":
            matches = lexical.scores(self.snapshot, words(question), within)
            found = lexical.best(matches, k=depth, within=within)
            if way == "bm25":
                rows, score = found, matches[found]
                cosines = dense.cosines(self.snapshot, vector, rows, within)
            else:
                more = np.setdiff1d(found, rows)
                rows = np.concatenate([rows, more])
                cosines = np.concatenate([cosines, dense.cosines(self.snapshot, vector, more, within)])
                score = fuse(cosines, matches[rows], spread=self.snapshot.manifest.get("spread", SPREAD))
        if way is None and self.rerank:
            return reranked(question, self._hits(rows, score, cosines, within, max(RERANKED, k)), self.rerank)[:k]
        return self._hits(rows, score, cosines, within, k)

    def _hits(self, rows: Rows, score: Scores, cosines: Scores, within: Readable, k: int) -> list[Hit]:
        order = np.lexsort((rows, -score))[:k]
        hits = []
        for at in order.tolist():
            number, row = within.place(int(rows[at]))
            chunk = self.snapshot.chunk(self.snapshot.segments[number], row)
            hits.append(Hit(chunk, round(float(score[at]), 6), round(float(cosines[at]), 6)))
        # Equal scores in an order that does not depend on how the documents lie in segments.
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.document.uri, hit.chunk.start))


def _key(access: Access, caller: Caller) -> object:
    bound = access.readers is not None and "admin" not in caller.scopes
    return access.erasure_epoch, access.acl_epoch, principals(caller) if bound else None
