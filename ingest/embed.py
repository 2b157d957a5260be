"""Chunk texts -> vectors, through onnxruntime, one single-threaded forward pass a core.

A CPU second embeds 28 chunks so, 20 through torch with one thread and 11 with its own two, on two cores
(docs/decisions/0012-query-path.md); and nothing waits for torch's import.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from app.core.embed import Embedder, EmbedderFiles
from app.core.types import Vectors

_BLOCK = 64
"""Texts of a thread's turn: progress is told after each, and an interruption waits for no more."""


def embed_chunks(
    texts: Sequence[str], files: EmbedderFiles, *, cache_dir: Path, batch: int, done: Callable[[int], None]
) -> Vectors:
    """Return one unit row per text, in order.

    Args:
        texts: What is embedded: title prefix and chunk.
        files: The model.
        cache_dir: Where the exported model lies.
        batch: Texts of a forward pass, at most.
        done: Called with the number of texts finished since the last call.
    """
    rows: Vectors = np.zeros((len(texts), files.identity.dim), dtype=np.float32)
    # Longest first: texts of like length share a pass, and memory peaks at once instead of at the end.
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    blocks = [order[start : start + _BLOCK] for start in range(0, len(order), _BLOCK)]
    embedder = Embedder(files, cache_dir=cache_dir)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        found = pool.map(lambda block: embedder([texts[i] for i in block], most=batch), blocks)
        for block, vectors in zip(blocks, found, strict=True):
            rows[block] = vectors
            done(len(block))
    finally:
        pool.shutdown(cancel_futures=True)
    return rows
