"""Small indexes of given texts, without an embedder: a document's vector says which words it holds."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.core import snapshot
from app.core.embed import unit
from app.core.snapshot import NewDocument, SegmentWriter
from app.core.types import Document, Vectors, document_id, revision_of
from app.core.words import IDENTITY, words
from ingest.publish import Part

DIM = 16
EMBEDDER: dict[str, object] = {"name": "e", "dim": DIM}
BUILT_WITH = {"embedder": EMBEDDER, "chunker": {"name": "c", "pieces": 8}, "normaliser": "n", "words": IDENTITY}
NOTES = {"created": "2026-01-01T00:00:00+00:00", "sources": {}}


def embed(texts: Sequence[str]) -> Vectors:
    """Return a unit row for each text; the same words in any order give the same."""
    rows = np.zeros((len(texts), DIM), np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[0] = 0.1
        for word in words(text):
            row[hashlib.sha256(word.encode()).digest()[0] % DIM] += 1
    return unit(rows)


def new(uri: str, text: str, *, collection: str = "docs", metadata: Mapping[str, Any] | None = None) -> NewDocument:
    """Return a document with a chunk for each of its paragraphs."""
    item = Document(document_id(collection, uri), uri, uri, revision_of(text), "f", len(text), metadata=dict(metadata or {}))
    ranges, place = [], 0
    for part in text.split("\n\n"):
        ranges.append((place, place + len(part)))
        place += len(part) + 2
    texts = [text[start:end] for start, end in ranges]
    return NewDocument(item, ranges, embed(texts), [words(text) for text in texts])


def part(root: Path, documents: Sequence[NewDocument], texts: Mapping[str, str], *, collection: str = "docs") -> Part:
    """Write documents as a segment, with their texts by uri; return it with all of them kept."""
    snapshot.write_texts(root, collection, {item.document.revision: texts[item.document.uri] for item in documents})
    base = snapshot.folder_of(root, collection)
    writer = SegmentWriter(base, DIM)
    for item in documents:
        writer.add(item)
    return snapshot.open_segment(base, writer.finish()), np.ones(len(documents), dtype=bool)


def parts(root: Path, texts: Mapping[str, str], *, collection: str = "docs") -> list[Part]:
    """Write texts by uri as one segment."""
    return [part(root, [new(uri, text, collection=collection) for uri, text in texts.items()], texts, collection=collection)]
