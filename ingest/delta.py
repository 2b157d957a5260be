"""Documents read now against the published snapshot -> what is new, changed, unchanged or gone."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.core.snapshot import NewDocument, Snapshot
from app.core.text import NORMALISER
from app.core.types import Document, Vectors
from ingest.parse import IDENTITY


def fingerprint(raw: bytes) -> str:
    """Return what decides whether a document is unchanged: its raw bytes, the parsers and the normaliser."""
    return hashlib.sha256(f"{IDENTITY}\n{NORMALISER}\n".encode() + raw).hexdigest()


@dataclass
class Delta:
    """What a run found, against what was there. Counted by ``document_id``."""

    previous: Snapshot | None
    comparable: bool
    """The previous snapshot was built with the same embedder, chunker and normaliser, so its chunks can be taken over."""
    added: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    unchanged: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def is_unchanged(self, document_id: str, print_: str) -> bool:
        """Whether a document stands in the previous snapshot just as it was read now."""
        known = self.known(document_id)
        return self.comparable and known is not None and known.fingerprint == print_

    def known(self, document_id: str) -> Document | None:
        """Return the previous snapshot's document."""
        return self.previous.documents.get(document_id) if self.previous else None

    def record(self, document: Document) -> None:
        """Note a document that was read, parsed and found worth indexing."""
        known = self.known(document.document_id)
        if known is None:
            self.added.add(document.document_id)
        elif (known.revision, known.title, known.metadata) == (document.revision, document.title, document.metadata):
            self.unchanged.add(document.document_id)
        else:
            self.changed.add(document.document_id)

    def lost(self, prefixes: tuple[str, ...], seen: set[str]) -> set[str]:
        """Return the documents of a source that it holds no more."""
        if self.previous is None:
            return set()
        ours = (d for d in self.previous.documents.values() if d.uri.startswith(prefixes))
        return {document.document_id for document in ours if document.document_id not in seen}

    def carried(self, without: set[str]) -> Iterator[NewDocument]:
        """Yield the previous snapshot's documents, with their chunks and vectors, but for some."""
        if self.previous is None:
            return
        for segment in self.previous.segments:
            numbers = segment.chunks["document"]
            for number, document in enumerate(segment.documents):
                if document.document_id not in without:
                    # Chunks of a document stand together, in the order of their documents.
                    first, last = (int(i) for i in np.searchsorted(numbers, [number, number + 1]))
                    rows = segment.chunks[first:last]
                    ranges = [(int(start), int(end)) for start, end in zip(rows["start"], rows["end"], strict=True)]
                    vectors: Vectors = (
                        segment.index.reconstruct_n(first, last - first) if last > first else np.zeros((0, 0), np.float32)
                    )
                    yield NewDocument(document, ranges, vectors)


def compare(previous: Snapshot | None, built_with: dict[str, Any]) -> Delta:
    """Begin a comparison with the published snapshot."""
    same = previous is not None and all(previous.manifest.get(name) == value for name, value in built_with.items())
    return Delta(previous, same)
