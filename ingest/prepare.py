"""An item -> a document cut into chunks, or the reason why not: parsed, validated, held against the operator's rules, cut.

What it takes are the item, the settings and the embedder's tokenizer: so it runs in any process that has them.
"""

from dataclasses import dataclass
from functools import cached_property

from app.core.config import IngestSettings
from app.core.embed import EmbedderFiles, Pieces
from app.core.errors import DocumentRefused
from app.core.types import Document, revision_of
from ingest.index import Chunked, chunked
from ingest.load import Item, Refused
from ingest.rules import Rules
from ingest.sandbox import Limits, Sandbox
from ingest.validate import validate


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item that must be read anew."""

    item: Item
    document_id: str
    fingerprint: str


class Preparing:
    """Prepares items one at a time; parsers run in a child process of it. A context."""

    def __init__(self, settings: IngestSettings, files: EmbedderFiles, rules: Rules) -> None:
        self._settings, self._files, self._rules = settings, files, rules
        self._parse = Sandbox(Limits(settings.parse_seconds, settings.parse_memory_bytes))

    def __enter__(self) -> "Preparing":
        return self

    def __exit__(self, *_: object) -> None:
        self._parse.__exit__()

    def __call__(self, wanted: Wanted) -> Chunked | Refused:
        """Return what there is to index of an item."""
        try:
            document, text = self._document(wanted)
        except DocumentRefused as refusal:
            return Refused(wanted.item.source, wanted.item.uri, refusal.reason, refusal.message)
        return self.cut(document, text)

    def cut(self, document: Document, text: str) -> Chunked:
        """Cut a document into chunks."""
        return chunked(document, text, pieces=self._pieces, limit=self._settings.chunk_pieces)

    def _document(self, wanted: Wanted) -> tuple[Document, str]:
        parsed = validate(self._parse(wanted.item))
        self._rules.check(parsed)
        document = Document(
            document_id=wanted.document_id,
            uri=wanted.item.uri,
            title=parsed.title,
            revision=revision_of(parsed.text),
            fingerprint=wanted.fingerprint,
            chars=len(parsed.text),
            headings=parsed.headings,
            pages=parsed.pages,
            metadata=parsed.metadata,
        )
        return document, parsed.text

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self._files)
