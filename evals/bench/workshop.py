"""Where a benchmark works: a home that is thrown away, documents and questions, indexes of any size."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from app.core import snapshot
from app.core.config import Settings, load_settings
from app.core.embed import Embedder, EmbedderFiles, find_embedder, unit
from app.core.snapshot import NewDocument, Snapshot
from app.core.types import Document, Vectors, document_id
from evals.bench.corpus import Described, described, questions, write
from ingest.build import build

_NOISE = 0.035
"""Per dimension: a copy's cosine with its original is about .82, and no two copies are equal."""
REAL = "real"
"""The collection that was ingested; the others are grown from it."""


@dataclass(frozen=True)
class Workshop:
    """Everything the parts share."""

    folder: Path
    settings: Settings
    documents: Path
    items: list[Described]
    questions: list[str]
    files: EmbedderFiles
    embedder: Embedder

    @property
    def environment(self) -> dict[str, str]:
        """The settings, as a child process reads them."""
        return {"CITEWELL_HOME": str(self.settings.home), "CITEWELL_INDEXES_DIR": str(self.settings.indexes_dir)}


@contextmanager
def opened(*, pages_chars: int) -> Iterator[Workshop]:
    """Make a workshop in a temporary folder, with pages of about so many characters in all; it is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="citewell-bench-") as name:
        folder = Path(name)
        settings = load_settings({"CITEWELL_HOME": str(folder / "home"), "CITEWELL_INDEXES_DIR": str(folder / "indexes")})
        items = described()
        write(folder / "pages", items, chars=pages_chars)
        files = find_embedder(settings.embedder)
        embedder = Embedder(files, cache_dir=settings.cache_dir)
        yield Workshop(folder, settings, folder / "pages", items, questions(items), files, embedder)


def real(workshop: Workshop) -> Snapshot:
    """Return the snapshot that holds every page with its true vectors, ingested if it is not there."""
    root = workshop.settings.indexes_dir
    if snapshot.current_id(root, REAL) is None:
        build(workshop.documents, collection=REAL, settings=workshop.settings)
    return snapshot.open_current(root, REAL)


def grown(workshop: Workshop, collection: str, chunks: int) -> Snapshot:
    """Publish a collection of exactly so many chunks: the real ones, then copies of them whose vectors carry noise.

    What a search costs depends on how many vectors there are, not on what they mean; what it finds is mostly real.
    """
    root, source = workshop.settings.indexes_dir, real(workshop)
    random = np.random.default_rng(0)
    built_with = {name: source.manifest[name] for name in ("embedder", "chunker", "normaliser")}
    documents: list[NewDocument] = []
    left, copy = chunks, 0
    originals = list(_documents(source))
    while left > 0:
        for document, ranges, vectors in originals:
            if left <= 0:
                break
            uri = document.uri if copy == 0 else f"copy-{copy}/{document.uri}"
            noise = random.normal(0, _NOISE, vectors.shape) if copy else 0
            rows = unit(np.asarray(vectors + noise, dtype=np.float32))
            named = replace(document, document_id=document_id(collection, uri), uri=uri)
            documents.append(NewDocument(named, ranges[:left], rows[:left]))
            snapshot.write_text(root, collection, document.revision, source.texts.read(document.revision))
            left -= len(ranges)
        copy += 1
    notes = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "sources": {}}
    identity = snapshot.write_snapshot(root, collection, documents, built_with=built_with, notes=notes)
    snapshot.publish(root, collection, identity)
    return snapshot.open_current(root, collection)


def _documents(source: Snapshot) -> Iterator[tuple[Document, Sequence[tuple[int, int]], Vectors]]:
    for segment in source.segments:
        for number, document in enumerate(segment.documents):
            rows = np.flatnonzero(segment.chunks["document"] == number)
            ranges = [(int(segment.chunks[row]["start"]), int(segment.chunks[row]["end"])) for row in rows]
            if ranges:
                yield document, ranges, segment.index.reconstruct_batch(rows)
