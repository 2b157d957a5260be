"""Question -> nearest chunks by cosine, exact, over the segments of one snapshot."""

from collections.abc import Callable, Sequence

import faiss

from app.core.errors import IndexUnusable
from app.core.snapshot import Snapshot
from app.core.types import Hit, Vectors

IDENTITY = "dense/1"
"""Part of the release."""


class Retriever:
    """Searches one snapshot; built again for the next."""

    def __init__(self, snapshot: Snapshot, embed: Callable[[Sequence[str]], Vectors], embedder: dict[str, object]) -> None:
        """Open a snapshot for searching.

        Raises:
            IndexUnusable: Its vectors were made by another embedder.
        """
        built = snapshot.manifest["embedder"]
        if built != embedder:
            raise IndexUnusable(
                f"The index of `{snapshot.collection}` was built with the embedder `{built['name']}`, which is not the one in "
                f"the settings. Ingest the documents again, or set CITEWELL_EMBEDDER back.",
                detail=f"index {built}, settings {embedder}",
            )
        # One thread a query, parallel over requests: two on busy cores were 2 to 40 times slower.
        faiss.omp_set_num_threads(1)
        self.snapshot = snapshot
        self._embed = embed

    def search(self, question: str, *, k: int) -> list[Hit]:
        """Return the k nearest chunks, or all when there are fewer; best first, ties in the order of the index."""
        return self.nearest(self._embed([question])[0], k=k)

    def nearest(self, vector: Vectors, *, k: int) -> list[Hit]:
        """Do the same for a question's vector, a unit row of shape (dim,)."""
        query = vector.reshape(1, -1)
        found: list[tuple[float, int, int]] = []
        for number, segment in enumerate(self.snapshot.segments):
            scores, rows = segment.index.search(query, min(k, segment.index.ntotal))
            found += [(-float(score), number, int(row)) for score, row in zip(scores[0], rows[0], strict=True) if row >= 0]
        return [
            Hit(self.snapshot.chunk(self.snapshot.segments[number], row), round(-score, 6))
            for score, number, row in sorted(found)[:k]
        ]
