"""Memory: what 100k chunks take on their way through ingest over 40k, and what an open index takes over its vectors.

Each figure is that of a process of its own: ``python -m evals.bench.remembering ingest|search …``.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from app.core import snapshot
from app.core.embed import unit
from app.core.types import Document, Vectors, document_id, revision_of
from evals.bench.children import environment
from evals.bench.corpus import described
from evals.bench.figures import Failed, Row
from evals.bench.workshop import Workshop, grown

_DIM = 384
_CHUNKS_A_DOCUMENT = 10
_QUERIES = 200
FEW, SOME, MANY = 10_000, 40_000, 100_000
"""Fewer than a segment holds at once, more than one, and many."""


def measure(workshop: Workshop) -> list[Row]:
    """Let chunks with stub vectors pass through ingest; open an index and search it."""
    few, some, many = (float(_child("ingest", str(workshop.folder / f"flat-{n}"), str(n))) for n in (FEW, SOME, MANY))
    grown(workshop, f"search-{MANY}", MANY)
    growth = float(_child("search", str(workshop.settings.indexes_dir), f"search-{MANY}"))
    vectors = MANY * _DIM * 4 / 1e6
    return [
        Row(f"memory of an ingest of {FEW:,} chunks, stub vectors, peak MB", f"{few:.0f}"),
        Row(f"memory of an ingest of {MANY:,} chunks, stub vectors, peak MB", f"{many:.0f}", f"{some:.0f} ({SOME:,})", f"{many / some:.2f}", "flat"),
        Row(f"memory of an index of {MANY:,} chunks after {_QUERIES} searches, MB PSS", f"{growth:.0f}", f"{vectors:.0f} (its vectors)",
            f"{growth / vectors:.2f}", "<= 1.3"),
    ]  # fmt: skip


def _child(*args: str) -> str:
    command = [sys.executable, "-m", "evals.bench.remembering", *args]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"Measuring memory failed: {done.stderr[-2000:]}")
    return done.stdout.strip()


def _ingested(folder: Path, chunks: int) -> float:
    """Return the peak of this process, in MB, after so many chunks became segments."""
    from ingest.engine import Local
    from ingest.index import Chunked, Indexing

    chance = np.random.default_rng(0)

    def stub(texts: Sequence[str]) -> dict[str, Vectors]:
        return dict(zip(texts, unit(chance.normal(size=(len(texts), _DIM)).astype(np.float32)), strict=True))

    pool = ThreadPoolExecutor(1)  # beside the reading, as the real one
    embed = cast("Any", SimpleNamespace(dim=_DIM, begin=lambda texts, *_: pool.submit(stub, texts)))
    indexing = Indexing(folder, "flat", embed=embed, done=lambda _: None, first=Local.first, block=Local.block)
    words = " ".join(item.text for item in described()[:2_000]).split()
    for number, text in enumerate(_texts(words, chunks // _CHUNKS_A_DOCUMENT)):
        uri = f"flat/{number}"
        document = Document(document_id("flat", uri), uri, uri, revision_of(text), "", len(text))
        step = len(text) // _CHUNKS_A_DOCUMENT
        ranges = [(i * step, (i + 1) * step) for i in range(_CHUNKS_A_DOCUMENT)]
        indexing.add(Chunked(document, text, ranges, [text[start:end] for start, end in ranges]))
    indexing.finish()
    return _status("VmHWM")  # not getrusage: a child begins with its parent's peak


def _texts(words: Sequence[str], documents: int) -> Iterator[str]:
    chance = np.random.default_rng(1)
    for number in range(documents):
        start = int(chance.integers(len(words) - 1_200))
        yield f"{number} " + " ".join(words[start : start + 1_200])


def _searched(indexes: Path, collection: str) -> float:
    """Return by how many MB of PSS this process grows when it opens an index and searches it."""
    import faiss

    from app.retrieve import Retriever
    from evals.bench.corpus import questions

    faiss.omp_set_num_threads(1)
    asked = questions(described()[:_QUERIES])[:_QUERIES]
    chance = np.random.default_rng(2)
    rows = unit(chance.normal(size=(len(asked), _DIM)).astype(np.float32))
    known = SimpleNamespace(of=dict(zip(asked, rows, strict=True)))
    before = _pss()
    opened = snapshot.open_current(indexes, collection)
    retriever = Retriever(opened, lambda texts: np.stack([known.of[text] for text in texts]), opened.manifest["embedder"])
    for text in asked:
        retriever.search(text, k=10)
    return _pss() - before


def _pss() -> float:
    return _status("Pss", "smaps_rollup")


def _status(name: str, file: str = "status") -> float:
    for line in Path(f"/proc/self/{file}").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1000
    raise Failed("This system does not say what a process takes.")


if __name__ == "__main__":
    what, where, which = sys.argv[1:]
    sys.stdout.write(f"{_ingested(Path(where), int(which)) if what == 'ingest' else _searched(Path(where), which)}\n")
