"""The nouns: frozen values that steps hand to each other. Offsets are code points, end exclusive."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Shape (n, dim), one unit-length row per text."""

Nano = int
"""Money: billionths of a US dollar, always whole."""

Support = Literal["verbatim", "entailed", "partial", "unsupported", "unverified"]
"""How the evidence carries a claim; ``unverified`` means that nobody judged."""


def document_id(collection: str, uri: str) -> str:
    """Return the stable id of the document that ``uri`` names in ``collection``."""
    return "doc_" + hashlib.sha256(f"{collection}\n{uri}".encode()).hexdigest()[:20]


def revision_of(text: str) -> str:
    """Return the id of a document's content: the sha256 of its normalised text."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading line of a document's normalised text."""

    start: int
    """Where the heading's line begins."""
    level: int
    """1 is the outermost."""
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """One source item at one revision; its text lives beside the index, under ``revision``."""

    document_id: str
    uri: str
    title: str
    revision: str
    fingerprint: str
    """sha256 of raw bytes, parser and normaliser identity: equal means unchanged."""
    chars: int
    headings: tuple[Heading, ...] = ()
    pages: tuple[int, ...] = ()
    """Where each page begins; empty when the format has no pages."""
    metadata: dict[str, Any] = field(default_factory=dict)

    def heading_at(self, offset: int) -> tuple[str, ...]:
        """Return the titles of the headings that ``offset`` stands under, outermost first."""
        path: list[Heading] = []
        for heading in self.headings:
            if heading.start > offset:
                break
            while path and path[-1].level >= heading.level:
                path.pop()
            path.append(heading)
        return tuple(heading.title for heading in path)

    def page_at(self, offset: int) -> int | None:
        """Return the page, from 1, that holds ``offset``; None when the format has no pages."""
        before = sum(start <= offset for start in self.pages)
        return max(before, 1) if self.pages else None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one document: the unit that is embedded, retrieved and cited.

    ``text`` is exactly ``text_of(revision)[start:end]``, so that a citation can be shown in place.
    """

    document: Document
    start: int
    end: int
    text: str

    def __post_init__(self) -> None:
        if self.end - self.start != len(self.text) or not self.text:
            raise ValueError(
                f"a chunk of {self.document.uri!r} spans {self.start}:{self.end} but holds {len(self.text)} characters"
            )

    @property
    def chunk_id(self) -> str:
        """Content-derived: the same passage at the same place keeps its id across rebuilds."""
        key = f"{self.document.document_id}\n{self.document.revision}\n{self.start}\n{self.end}"
        return "chk_" + hashlib.sha256(key.encode()).hexdigest()[:16]

    def overlaps(self, other: "Chunk") -> bool:
        """Whether both hold a character of the same document."""
        same = self.document.document_id == other.document.document_id
        return same and self.start < other.end and other.start < self.end

    @property
    def heading(self) -> tuple[str, ...]:
        """The titles of the headings above the passage, outermost first."""
        return self.document.heading_at(self.start)

    @property
    def page(self) -> int | None:
        """The page, from 1, on which the passage begins."""
        return self.document.page_at(self.start)


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found."""

    chunk: Chunk
    score: float
    """What it was ranked by: comparable within one question only."""
    cosine: float
    """How near its vector is to the question's, in [-1, 1]: comparable between questions."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit as the model will read it, under the number it may cite."""

    n: int
    chunk: Chunk
    score: float


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the server knows it from the key; never from a field of the request."""

    tenant: str
    key_id: str | None
    principals: tuple[str, ...]
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key carries ``scope``, or is an administrator's."""
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Caller(tenant="default", key_id=None, principals=(), scopes=frozenset({"admin"}))
"""The local person: the CLI, and loopback while no key was ever created."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question with everything that may change its answer, as admitted by the guard."""

    question: str
    collection: str = "docs"
    messages: tuple[Message, ...] = ()
    user: str | None = None
    max_citations: int = 5
    stream: bool = False
    today: date | None = None
    """The day that the prompt names: the day of asking, unless a suite or a replay pins it."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """Metadata field -> the value a document must have, or a list of which it must have one."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote of one revision, under the number that the answer cites it by."""

    n: int
    chunk: Chunk
    start: int
    """In the revision's text."""
    end: int
    quote: str
    """Exactly ``text_of(revision)[start:end]``."""
    score: float
    """Retrieval score of the passage it was taken from."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer, with how its evidence carries it."""

    text: str
    """Exactly ``answer[start:end]``, markers included."""
    start: int
    end: int
    citations: tuple[int, ...]
    support: Support
    score: float
    """In [0, 1]; 1 for verbatim."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the caller should know about an answer."""

    code: str
    message: str
