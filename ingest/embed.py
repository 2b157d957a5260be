"""Chunk texts -> vectors: a few through onnxruntime, many through torch, which is faster in bulk and slow to start."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from app.core.embed import Embedder, EmbedderFiles, unit
from app.core.types import Vectors

FEW = 400
"""Below this onnxruntime is done before torch is imported."""
_BLOCK = 512


def embed_chunks(
    texts: Sequence[str], files: EmbedderFiles, *, cache_dir: Path, batch: int, done: Callable[[int], None]
) -> Vectors:
    """Return one unit row per text, in order.

    Args:
        texts: What is embedded: title prefix and chunk.
        files: The model.
        cache_dir: Where the exported model lies.
        batch: Texts per batch of the bulk encoder.
        done: Called with the number of texts finished since the last call.
    """
    rows: Vectors = np.zeros((len(texts), files.identity.dim), dtype=np.float32)
    # Longest first: texts of like length share a batch, and memory peaks at once instead of at the end.
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    encode = _few(files, cache_dir) if len(texts) <= FEW else _many(files, batch)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        rows[block] = encode([texts[i] for i in block])
        done(len(block))
    return rows


def _few(files: EmbedderFiles, cache_dir: Path) -> Callable[[Sequence[str]], Vectors]:
    return Embedder(files, cache_dir=cache_dir)


def _many(files: EmbedderFiles, batch: int) -> Callable[[Sequence[str]], Vectors]:
    import transformers
    from sentence_transformers import SentenceTransformer  # 7 s and 400 MB: only for a bulk that is worth it

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours counts chunks
    model = SentenceTransformer(str(files.folder), device="cpu")

    def encode(texts: Sequence[str]) -> Vectors:
        vectors: Vectors = model.encode(list(texts), batch_size=batch, convert_to_numpy=True, show_progress_bar=False)
        return unit(vectors)

    return encode
