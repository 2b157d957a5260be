"""Builders: the fact that matters stays on the test's line."""

from app.core.types import Chunk, Document, Heading, Hit, Passage, document_id, revision_of


def document(text: str, *, uri: str = "s/a.md", title: str = "A", headings: tuple[Heading, ...] = ()) -> Document:
    return Document(document_id("docs", uri), uri, title, revision_of(text), "f", len(text), headings)


def chunk(text: str, *, whole: str | None = None, uri: str = "s/a.md", title: str = "A") -> Chunk:
    """A chunk that is ``text``, within ``whole``."""
    whole = text if whole is None else whole
    start = whole.index(text)
    return Chunk(document(whole, uri=uri, title=title), start, start + len(text), text)


def hit(text: str, *, score: float = 1.0, **where: str) -> Hit:
    return Hit(chunk(text, **where), score, score)


def passage(text: str, *, n: int = 1, score: float = 1.0, **where: str) -> Passage:
    return Passage(n, chunk(text, **where), score)
