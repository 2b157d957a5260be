"""Documents -> a published index, over two bare encoders on the same texts, sorted and batched the same: torch's, and the one in use."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from app.core.embed import Embedder, Pieces
from evals.bench.figures import Row, middle
from evals.bench.workshop import REAL, Workshop, real
from ingest.build import build
from ingest.chunk import embedded_text


def measure(workshop: Workshop, *, rounds: int) -> list[Row]:
    """Ingest the pages into a new collection and encode the same texts barely, in turn."""
    import transformers
    from sentence_transformers import SentenceTransformer  # torch: seconds, and in neither of the two figures

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the library's own
    model = SentenceTransformer(str(workshop.files.folder), device="cpu")
    model.encode(["warm"] * 16, show_progress_bar=False)
    batch = workshop.settings.ingest.batch
    embedder = Embedder(workshop.files, cache_dir=workshop.settings.cache_dir)
    ours: list[float] = []
    bare: list[float] = []
    own: list[float] = []
    texts: list[str] = []
    for number in range(rounds):
        for path in workshop.settings.cache_dir.glob("vectors-*"):
            path.unlink()  # or the second round would find every vector there
        report = build(workshop.documents, collection=REAL if number == 0 else f"{REAL}-{number}", settings=workshop.settings)
        ours.append(report.embedded / report.seconds)
        texts = texts or _texts(workshop)
        started = time.perf_counter()
        model.encode(texts, batch_size=batch, convert_to_numpy=True, show_progress_bar=False)
        bare.append(len(texts) / (time.perf_counter() - started))
        started = time.perf_counter()
        embed_barely(texts, embedder, batch=batch)
        own.append(len(texts) / (time.perf_counter() - started))
    what = f"ingest, {len(texts):,} chunks, a second"
    return [
        Row(what, f"{middle(ours):.1f}", f"{middle(base):.1f} ({name})", f"{_ratio(ours, base):.2f}", ">= .95", rounds)
        for name, base in (("torch's encoder", bare), ("our encoder", own))
    ]


def embed_barely(texts: list[str], embedder: Embedder, *, batch: int) -> None:
    """Embed texts that are sorted by length on all cores, a block at a time, and keep nothing."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda start: embedder(texts[start : start + 64], most=batch), range(0, len(texts), 64)))


def _ratio(ours: list[float], base: list[float]) -> float:
    return middle([mine / theirs for mine, theirs in zip(ours, base, strict=True)])


def _texts(workshop: Workshop) -> list[str]:
    """What the product embedded of these pages, longest first, each text once."""
    source = real(workshop)
    offsets = Pieces(workshop.files).offsets
    chunks = [source.chunk(segment, row) for segment in source.segments for row in range(len(segment.chunks))]
    texts = dict.fromkeys(embedded_text(chunk.document.title, chunk.text, offsets) for chunk in chunks)
    return sorted(texts, key=lambda text: -len(text))
