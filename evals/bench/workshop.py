"""Where a benchmark works: a home that is thrown away, documents and questions, indexes of any size."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.core import snapshot
from app.core.config import Settings, load_settings
from app.core.embed import Embedder, EmbedderFiles, find_embedder, unit
from app.core.snapshot import NewDocument, SegmentWriter, Snapshot
from app.core.types import document_id
from app.core.words import words
from evals.bench.corpus import Described, described, questions, write
from ingest.build import build
from ingest.index import SEGMENT
from ingest.publish import publish

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
    if snapshot.current_id(root, collection) is not None:
        return snapshot.open_current(root, collection)
    random = np.random.default_rng(0)
    originals = list(_documents(source))
    snapshot.write_texts(root, collection, {new.document.revision: source.texts.read(new.document.revision) for new in originals})
    base, dim = snapshot.folder_of(root, collection), workshop.files.identity.dim
    entries: list[dict[str, Any]] = []
    writer, left, copy = SegmentWriter(base, dim), chunks, 0
    while left > 0:
        for new in originals:
            if left <= 0:
                break
            uri = new.document.uri if copy == 0 else f"copy-{copy}/{new.document.uri}"
            noise = random.normal(0, _NOISE, new.vectors.shape) if copy else 0
            rows = unit(np.asarray(new.vectors + noise, dtype=np.float32))
            half = {"half": "ab"[copy % 2]}
            named = replace(new.document, document_id=document_id(collection, uri), uri=uri, metadata=half)
            writer.add(NewDocument(named, new.ranges[:left], rows[:left], new.words[:left]))
            left -= len(new.ranges)
            if writer.size >= SEGMENT or left <= 0:
                entries.append(writer.finish())
                writer = SegmentWriter(base, dim)
        copy += 1
    segments = [snapshot.open_segment(base, entry) for entry in entries]
    notes = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "sources": {}}
    parts = [(segment, np.ones(len(segment.documents), dtype=bool)) for segment in segments]
    return publish(root, collection, parts, built_with=source.built_with, notes=notes, known=segments, embed=workshop.embedder)[0]


def _documents(source: Snapshot) -> Iterator[NewDocument]:
    for segment in source.segments:
        for line in range(len(segment.documents)):
            document, (first, last) = segment.document(line), segment.rows_of(line)
            ranges = [(int(row["start"]), int(row["end"])) for row in segment.chunks[first:last]]
            text = source.texts.read(document.revision)
            if ranges:
                vectors = segment.index.reconstruct_n(first, last - first)
                yield NewDocument(document, ranges, vectors, [words(f"{document.title} {text[a:b]}") for a, b in ranges])
