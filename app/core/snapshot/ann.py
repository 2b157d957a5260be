"""Approximate search for large segments: an inverted file whose depth is tuned, when it is built, on questions held back for that.

Exact search is kept beside it, and takes over where a filter leaves little: an approximate index under a selective filter returns
fewer than there are, and the wrong ones, without an error.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.core.types import Vectors

FROM = 65_536
"""Chunks of a segment from which it pays: exact search takes 7 ms there, this .4 (docs/decisions/0015-index.md)."""
RECALL = 0.98
"""Share of the true ten nearest that must be found, on average over the held-back questions."""

LEAST = 50
"""Questions below which nothing can be said of a recall; search is exact then."""

_K = 10
_EQUAL = 1e-5
_LISTS = 4.0
"""Lists per square root of the vectors."""
_ROUNDS = 6
_SAMPLE = 64
"""Vectors a list that k-means looks at."""
_WORTH = 0.5
"""Share of exact search's time above which it is not worth its size."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions held back for tuning, with the documents they are sentences of: an erasure takes its own out."""

    documents: npt.NDArray[np.bytes_]
    vectors: Vectors
    """Unit rows, in the same order."""

    def without(self, erased: npt.NDArray[np.bytes_]) -> "Asked":
        """Return those of other documents."""
        left = ~np.isin(self.documents, erased)
        return Asked(self.documents[left], self.vectors[left])

    def table(self) -> npt.NDArray[Any]:
        """Return them as one array, for a file."""
        made = np.zeros(len(self.documents), dtype=[("id", "S24"), ("vector", "<f4", self.vectors.shape[1])])
        made["id"], made["vector"] = self.documents, self.vectors
        return made


def read_asked(path: Path) -> Asked:
    """Read them back."""
    table = np.load(path, allow_pickle=False)
    return Asked(table["id"], np.ascontiguousarray(table["vector"]))


def build(exact: Any, asked: Asked) -> tuple[Any, dict[str, Any]] | None:
    """Build an index over what ``exact`` holds, and search it as deep as the questions ask for.

    Args:
        exact: A flat faiss index.
        asked: Texts that are not in it: a chunk is found by its own vector at any depth.

    Returns:
        The index, and how it was tuned; None when there are too few questions, or the recall is not reached in half of exact
        search's time.
    """
    import faiss

    questions = asked.vectors
    if len(questions) < LEAST:
        return None

    lists = int(_LISTS * exact.ntotal**0.5)
    made = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(exact.d), exact.d, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    made.cp.niter, made.cp.max_points_per_centroid, made.cp.seed = _ROUNDS, _SAMPLE, 1
    vectors = faiss.rev_swig_ptr(exact.get_xb(), exact.ntotal * exact.d).reshape(exact.ntotal, exact.d)
    made.train(vectors)
    made.add(vectors)
    faiss.omp_set_num_threads(1)
    near, exact_ms = _timed(lambda question: exact.search(question, _K), questions)
    worst = [float(exact.reconstruct(rows[-1]) @ question) for rows, question in zip(near, questions, strict=True)]
    for depth in [*(2**power for power in range(lists.bit_length()) if 2**power < lists), lists]:
        made.nprobe = depth
        found, ms = _timed(lambda question: made.search(question, _K), questions)
        if ms > _WORTH * exact_ms:
            return None
        recall = float(np.mean([_share(exact, *one) for one in zip(found, questions, worst, strict=True)]))
        if recall >= RECALL:
            tuned = {"lists": lists, "nprobe": depth, "recall@10": round(recall, 4), "questions": len(questions)}
            return made, {**tuned, "ms": round(ms, 3), "exact_ms": round(exact_ms, 3)}
    return None


def _share(exact: Any, rows: list[int], question: npt.NDArray[np.float32], worst: float) -> float:
    """Return how many of the rows are as near as the true nearest, of one; which of equal ones is found makes no difference."""
    there = np.array([row for row in rows if row >= 0])
    return float((exact.reconstruct_batch(there) @ question >= worst - _EQUAL).sum()) / len(rows) if len(there) else 0.0


def load(path: Path) -> Any:
    """Open an index, its lists memory-mapped."""
    import faiss

    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP)


def search(index: Any, tuned: dict[str, Any], query: Vectors, k: int, bits: npt.NDArray[np.uint8] | None, share: float) -> Any:
    """Return the rows of about the k nearest, or None where exact search should look instead.

    Under a filter it looks through as many more lists as the filter leaves out, so that it compares as many vectors as without.

    Args:
        index: An open one.
        tuned: How it was tuned.
        query: A unit row, shape (1, dim).
        k: How many.
        bits: Which rows may be found, eight a byte; all when not given.
        share: How many of the rows that is, of one.
    """
    import faiss

    depth = int(np.ceil(tuned["nprobe"] / share))
    if depth > tuned["lists"] * _WORTH:
        return None
    sel = faiss.IDSelectorBitmap(bits) if bits is not None else None  # type: ignore[call-arg,arg-type]
    _, rows = index.search(query, k, params=faiss.SearchParametersIVF(sel=sel, nprobe=depth))  # type: ignore[call-arg]
    return None if (rows[0] < 0).any() else rows[0]


def _timed(search: Callable[[Vectors], tuple[Any, Any]], questions: Vectors) -> tuple[list[list[int]], float]:
    found, took = [], []
    for question in questions:
        began = time.perf_counter()
        _, rows = search(question.reshape(1, -1))
        took.append((time.perf_counter() - began) * 1000)
        found.append([int(row) for row in rows[0]])
    return found, float(np.median(took))
