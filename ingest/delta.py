"""Documents read now against the published snapshot -> what is new, changed, unchanged or gone."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.snapshot import Snapshot
from app.core.text import NORMALISER
from app.core.types import Document
from ingest.parse import IDENTITY


def fingerprint(raw: bytes, rules: str = "") -> str:
    """Return what decides whether a document is unchanged: its raw bytes, the parsers, the normaliser and the operator's rules."""
    made_by = f"{IDENTITY}\n{NORMALISER}\n" + (f"{rules}\n" if rules else "")
    return hashlib.sha256(made_by.encode() + raw).hexdigest()


@dataclass
class Delta:
    """What a run found, against what was there. Counted by ``document_id``."""

    previous: Snapshot | None
    added: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    unchanged: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    rewritten: set[str] = field(default_factory=set)
    """Documents that stand in a new segment, changed or not: the segment that held them drops them."""

    def known(self, document_id: str) -> Document | None:
        """Return the previous snapshot's document."""
        return self.previous.document(document_id) if self.previous else None

    def is_unchanged(self, document_id: str, print_: str) -> bool:
        """Whether a document stands in the previous snapshot just as it was read now."""
        known = self.known(document_id)
        return known is not None and known.fingerprint == print_

    def record(self, document: Document) -> None:
        """Note a document that was read, parsed and found worth indexing."""
        known = self.known(document.document_id)
        if known is None:
            self.added.add(document.document_id)
        elif (known.revision, known.title, known.metadata) == (document.revision, document.title, document.metadata):
            self.unchanged.add(document.document_id)
        else:
            self.changed.add(document.document_id)
        self.rewritten.add(document.document_id)

    def of_source(self, owns: Callable[[str], bool]) -> list[Document]:
        """Return the previous snapshot's documents of a source, which knows its own by their URIs."""
        return [document for document in self.previous.documents() if owns(document.uri)] if self.previous else []
