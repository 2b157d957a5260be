"""Chunk texts -> vectors: from the cache where the text was embedded before, else through onnxruntime.

One single-threaded forward pass a core: a CPU second embeds 28 chunks so, 20 through torch with one thread and 11 with its own
two, on two cores (docs/decisions/0012-query-path.md); and nothing waits for torch's import.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol

from app.core.embed import Embedder, EmbedderFiles
from app.core.types import Vectors
from app.core.vectors import VectorCache

_CORES = os.cpu_count() or 1
_BLOCK = 16
"""Texts of a thread's turn: progress is told and vectors are kept after each, and an interruption waits for no more."""


class Elsewhere(Protocol):
    """What embeds in other processes than this one."""

    size: int
    """How many embed at once, on a core each."""

    def __call__(self, blocks: Sequence[list[str]]) -> Iterator[tuple[list[str], Vectors]]:
        """Yield each block with one unit row per text, in any order."""


class Embedding:
    """Embeds texts on all cores while its caller reads on; loads the model with the first text that no cache holds."""

    def __init__(
        self, files: EmbedderFiles, cache: VectorCache, *, cache_dir: Path, batch: int, elsewhere: Elsewhere | None = None
    ) -> None:
        self._elsewhere = elsewhere
        self._files, self._cache, self._cache_dir, self._batch = files, cache, cache_dir, batch
        self._pool = ThreadPoolExecutor(_CORES)
        self._ahead = ThreadPoolExecutor(1)
        self.dim = files.identity.dim
        self.embedded = 0
        """How many texts no cache held."""

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder(self._files, cache_dir=self._cache_dir)

    def begin(
        self, texts: Sequence[str], uses: Mapping[str, Sequence[str]], done: Callable[[int], None]
    ) -> Future[dict[str, Vectors]]:
        """Begin to embed; one unit row, of shape (dim,), for each different text will be there. What began first ends first.

        Args:
            texts: What is embedded: title prefix and chunk. The same text twice (boilerplate, a copied page) is embedded once.
            uses: Document id -> the texts of its chunks.
            done: Called with the number of texts finished since the last call, from another thread.
        """
        if self._elsewhere is None:
            return self._ahead.submit(self._rows, texts, uses, done)
        made: Future[dict[str, Vectors]] = Future()  # a cluster's processes have one job at a time: reading would wait for this
        made.set_result(self._rows(texts, uses, done))
        return made

    def _rows(self, texts: Sequence[str], uses: Mapping[str, Sequence[str]], done: Callable[[int], None]) -> dict[str, Vectors]:
        distinct = list(dict.fromkeys(texts))
        rows = self._cache.get(distinct)
        done(len(rows))
        # Longest first: texts of like length share a pass, and memory peaks at once instead of at the end.
        missing = sorted((text for text in distinct if text not in rows), key=len, reverse=True)
        blocks = [missing[start : start + _BLOCK] for start in range(0, len(missing), _BLOCK)]
        self._cache.put({}, uses)  # before the vectors: an erasure must find each that is kept
        for block, vectors in (self._elsewhere or self._here)(blocks):
            new = dict(zip(block, vectors, strict=True))
            self._cache.put(new, {})
            rows |= new
            self.embedded += len(block)
            done(len(block))
        return rows

    def plainly(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row per text, and keep nothing."""
        return self._embed(texts)

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Return the different texts that the cache does not hold."""
        known = self._cache.get(texts)
        return [text for text in dict.fromkeys(texts) if text not in known]

    def pace(self, texts: Sequence[str]) -> float:
        """Return the seconds that a text like these takes on all cores, told by those of this machine; keeps nothing."""
        self._embed(texts[:1])  # loading the model is no part of it
        began = time.perf_counter()
        list(self._pool.map(self._embed, [texts[i::_CORES] for i in range(_CORES) if texts[i::_CORES]]))
        cores = self._elsewhere.size if self._elsewhere else _CORES
        return (time.perf_counter() - began) / len(texts) * _CORES / cores

    def _here(self, blocks: Sequence[list[str]]) -> Iterator[tuple[list[str], Vectors]]:
        return zip(blocks, self._pool.map(self._embed, blocks), strict=True)

    def _embed(self, block: Sequence[str]) -> Vectors:
        return self._embedder(block, most=self._batch)

    def close(self) -> None:
        """Stop, leaving undone what waits."""
        self._pool.shutdown(cancel_futures=True)
        self._ahead.shutdown(cancel_futures=True)
        self._cache.trim()
        self._cache.close()


@contextmanager
def embedding(files: EmbedderFiles, *, cache_dir: Path, batch: int, elsewhere: Elsewhere | None = None) -> Iterator[Embedding]:
    """Open the cache, and an embedder behind it: here, or elsewhere."""
    cache = VectorCache(cache_dir, files.identity)
    made = Embedding(files, cache, cache_dir=cache_dir, batch=batch, elsewhere=elsewhere)
    try:
        yield made
    finally:
        made.close()
