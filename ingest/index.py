"""Parsed documents -> segments on disk, block by block: memory does not grow with the corpus."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core import snapshot
from app.core.embed import Pieces
from app.core.snapshot import NewDocument, SegmentWriter
from app.core.types import Document, Vectors
from app.core.words import words
from ingest.chunk import chunk, embedded_text
from ingest.embed import Embedding

_SAMPLE = 64
"""Chunks that a dry run embeds to tell how long all would take."""
SEGMENT = 32_768
"""Chunks of a segment that is written at once; they are held until then, 100 MB with their words."""


@dataclass(frozen=True, slots=True)
class Chunked:
    """A document that is to be indexed, before its vectors are there."""

    document: Document
    text: str
    ranges: list[tuple[int, int]]
    texts: list[str]
    """What is embedded of each range."""


def chunked(document: Document, text: str, *, pieces: Pieces, limit: int) -> Chunked:
    """Cut a document into chunks of at most ``limit`` word pieces."""
    ranges = chunk(text, document.headings, document.title, tokenize=pieces.offsets, limit=limit)
    return Chunked(
        document, text, ranges, [embedded_text(document.title, text[start:end], pieces.offsets) for start, end in ranges]
    )


class Indexing:
    """Takes documents and writes them as segments; a block of them is embedded while the next is read."""

    seconds: float | None = None

    def __init__(
        self,
        root: Path,
        collection: str,
        *,
        embed: Embedding,
        done: Callable[[int], None],
        first: int,
        block: int,
    ) -> None:
        """Begin.

        Args:
            root: The folder of all collections.
            collection: Its name.
            embed: Texts -> vectors.
            done: Called with the number of chunks embedded since the last call.
            first: Chunks from which embedding begins; from then on, when as many wait as were read before.
            block: Chunks embedded together, at most.
        """
        self._root, self._collection = root, collection
        self._embed, self._done, self._first, self._block = embed, done, first, block
        self.chunks = 0
        self._waiting: list[Chunked] = []
        self._held = 0
        self._begun: deque[tuple[list[Chunked], Future[dict[str, Vectors]]]] = deque()
        self._writer: SegmentWriter | None = None
        self._entries: list[dict[str, Any]] = []

    def add(self, item: Chunked) -> None:
        """Take a document; its text and chunks are stored with their block."""
        self._waiting.append(item)
        self.chunks += len(item.ranges)
        self._held += len(item.ranges)
        if self._held >= min(self._block, max(self._first, self.chunks // 2)):
            self._flush()

    def finish(self) -> list[dict[str, Any]]:
        """Write what is left; return the segments' entries for a manifest."""
        self._flush()
        self._settle(leave=0)
        self._close()
        return self._entries

    def _flush(self) -> None:
        """Have what waits embedded, and write what was before it."""
        items, self._waiting, self._held = self._waiting, [], 0
        if not items:
            return
        snapshot.write_texts(self._root, self._collection, {item.document.revision: item.text for item in items})
        uses = {item.document.document_id: item.texts for item in items}
        self._begun.append((items, self._embed.begin([text for item in items for text in item.texts], uses, self._done)))
        self._settle(leave=1)

    def _settle(self, *, leave: int) -> None:
        """Write blocks in the order they were begun, waiting until no more than ``leave`` of them are left."""
        while self._begun and (len(self._begun) > leave or self._begun[0][1].done()):
            items, coming = self._begun.popleft()
            self._write(items, coming.result())

    def _write(self, items: list[Chunked], rows: dict[str, Vectors]) -> None:
        import numpy as np

        for item in items:
            if self._writer is None:
                self._writer = SegmentWriter(snapshot.folder_of(self._root, self._collection), self._embed.dim)
            vectors = np.stack([rows[text] for text in item.texts]) if item.texts else np.zeros((0, self._embed.dim), np.float32)
            self._writer.add(NewDocument(item.document, item.ranges, vectors, [words(text) for text in item.texts]))
            if self._writer.size >= SEGMENT:
                self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._entries.append(self._writer.finish())
            self._writer = None


class Estimating:
    """Takes the same documents and writes nothing: counts what would be embedded, and times a sample of it."""

    def __init__(self, root: Path, collection: str, *, embed: Embedding, **_: object) -> None:  # noqa: ARG002
        """Begin, as ``Indexing`` does."""
        self._embed = embed
        self._sample: list[str] = []
        self.chunks = 0
        self.seconds: float | None = None

    def add(self, item: Chunked) -> None:
        """Take a document."""
        self.chunks += len(item.ranges)
        new = self._embed.missing(item.texts)
        self._embed.embedded += len(new)
        self._sample += new[: max(0, _SAMPLE - len(self._sample))]

    def finish(self) -> list[dict[str, Any]]:
        """Time the sample; return no segment."""
        self.seconds = self._embed.pace(self._sample) * self._embed.embedded if self._sample else 0.0
        return []
