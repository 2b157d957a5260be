"""A question's vector and words -> its passages under a filter, over the bare FAISS call and the bare scoring of words it stands on."""

import time
from collections.abc import Callable
from functools import partial

import faiss
import numpy as np

from app.core.snapshot import Snapshot
from app.core.types import LOCAL, Vectors
from app.core.words import words
from app.retrieve import Access, Readable, Retriever, lexical
from evals.bench.figures import Row, middle, percentile
from evals.bench.workshop import Workshop, grown

K = 10
QUERIES = 200
SIZES = [10_000, 100_000]
LARGE = 1_000_000
"""Only in a full run."""


def measure(workshop: Workshop, *, sizes: list[int], rounds: int) -> list[Row]:
    """Measure each size, the product and the bare call taking turns query by query."""
    return [row for size in sizes for row in _size(workshop, size, rounds)]


def _size(workshop: Workshop, size: int, rounds: int) -> list[Row]:
    snapshot = grown(workshop, f"search-{size}", size)
    bare = flat(snapshot)
    ours: dict[str, list[float]] = {"p50": [], "p95": []}
    theirs: dict[str, list[float]] = {"p50": [], "p95": []}
    for number in range(rounds):
        asked = workshop.questions[number * QUERIES : (number + 1) * QUERIES]
        known = dict(zip(asked, (workshop.embedder([text]) for text in asked), strict=True))
        retriever = Retriever(snapshot, lambda texts: known[texts[0]], snapshot.manifest["embedder"])  # noqa: B023  used in this round
        everything = retriever.readable(Access(), LOCAL, {})
        took: list[float] = []
        base: list[float] = []
        for position, text in enumerate(asked):
            turns: list[tuple[list[float], Callable[[], object]]] = [
                (base, partial(_barely, bare, snapshot, everything, text, known[text])),
                (took, partial(_search, retriever, text)),
            ]
            for times, work in turns if position % 2 == 0 else turns[::-1]:
                times.append(_ms(work))
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            ours[name].append(percentile(took, share))
            theirs[name].append(percentile(base, share))
    return [
        Row(
            f"search, {size:,} chunks, half of them filtered out, {name}, ms",
            f"{middle(ours[name]):.2f}",
            f"{middle(theirs[name]):.2f} (FAISS + words)",
            f"{middle([a / b for a, b in zip(ours[name], theirs[name], strict=True)]):.2f}",
            ("< 50 ms" if size > 100_000 else "<= 1.25 + 2 ms") if name == "p95" else "",
            rounds,
        )
        for name in ours
    ]


def _search(retriever: Retriever, text: str) -> None:
    retriever.search(text, k=K, within=retriever.readable(Access(), LOCAL, {"half": "a"}))


def _barely(index: faiss.Index, snapshot: Snapshot, everything: Readable, text: str, vector: Vectors) -> None:
    """Neither filter, nor fusing, nor passages: the k nearest, and the k best by words."""
    index.search(vector, K)
    lexical.best(lexical.scores(snapshot, words(text), everything), k=K, within=everything)


def flat(snapshot: Snapshot) -> faiss.Index:
    """Return the bare thing: an index in memory with the same vectors, searched by one thread."""
    faiss.omp_set_num_threads(1)
    vectors: Vectors = np.concatenate([segment.index.reconstruct_n(0, segment.index.ntotal) for segment in snapshot.segments])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
