"""Documents with their chunks, vectors and words: written once, shared by every snapshot that holds them, never changed.

    segments/<id>/vectors.faiss    row i embeds chunk i
                  chunks.npy       each chunk's document and range
                  documents.jsonl  one document a line
                  documents.npy    each document's id, the hash of its row, and where its line begins
                  words.npy …      the lexical side (postings.py)
                  ann.faiss        of a large one: approximate search (ann.py)

A snapshot may leave documents of a segment out (they changed or went); the segment keeps them until it is merged.
"""

import hashlib
import json
import mmap
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rfc8785

from app.core.snapshot import ann, postings
from app.core.snapshot.ann import Asked
from app.core.snapshot.layout import Writing, fsync_folder, write_together
from app.core.snapshot.postings import Collecting, Postings
from app.core.types import Document, Heading, Vectors

CHUNK_ROW = np.dtype([("document", "<i4"), ("start", "<i4"), ("end", "<i4")])
"""One row per chunk: its document's line in documents.jsonl, and its range in that document's text."""
DOCUMENT_ROW = np.dtype([("id", "S24"), ("row", "S64"), ("at", "<i8")])

_FILES = ("vectors.faiss", "chunks.npy", "documents.jsonl", "documents.npy", *postings.FILES)
_ANN, _QUESTIONS = "ann.faiss", "questions.npy"
_BLOCK = 10_000

Flags = npt.NDArray[np.bool_]


class NewDocument(NamedTuple):
    """A document about to be written: its chunks' ranges, with their vectors and words in the same order."""

    document: Document
    ranges: Sequence[tuple[int, int]]
    vectors: Vectors
    words: Sequence[Sequence[str]]


@dataclass(frozen=True, eq=False)
class Segment:
    """An open segment; its files are memory-mapped."""

    segment_id: str
    entry: Mapping[str, Any]
    """As it stands in manifests: id, counts, and the sha256 of every file."""
    chunks: npt.NDArray[Any]
    documents: npt.NDArray[Any]
    index: Any
    """A faiss index; the inner product of unit vectors is the cosine."""
    postings: Postings
    lines: mmap.mmap | bytes
    approximate: Any = None
    """A faiss index over the same rows, where the segment is large."""
    asked: Asked | None = None
    """What it was tuned by, so that what takes the segment's place can be tuned again without an embedder."""

    def document(self, line: int) -> Document:
        """Return the document of a line."""
        return self._recent(line)

    @cached_property
    def _recent(self) -> Callable[[int], Document]:
        return lru_cache(maxsize=1024)(self._parse)

    def _parse(self, line: int) -> Document:
        start = int(self.documents["at"][line])
        row = json.loads(self.lines[start : self.lines.find(b"\n", start)])
        headings = tuple(Heading(**heading) for heading in row.pop("headings"))
        return Document(**{**row, "pages": tuple(row.pop("pages")), "headings": headings})

    def line_of(self, document_id: str) -> int | None:
        """Return the line of a document; None when it is not here."""
        ids, key = self.documents["id"], document_id.encode()
        at = int(np.searchsorted(ids, key, sorter=self._by_id))
        return int(self._by_id[at]) if at < len(ids) and ids[self._by_id[at]] == key else None

    @cached_property
    def _by_id(self) -> npt.NDArray[np.intp]:
        return np.argsort(self.documents["id"], kind="stable")

    def rows_of(self, line: int) -> tuple[int, int]:
        """Return the first row of a document's chunks, and the row behind their last: they stand together."""
        first, last = np.searchsorted(self.chunks["document"], [line, line + 1])
        return int(first), int(last)

    def carried(self, lines: Flags) -> npt.NDArray[np.int64]:
        """Return, for each chunk, its row once only the flagged documents are left; -1 for a chunk of another."""
        kept = lines[self.chunks["document"]] if len(self.chunks) else np.zeros(0, bool)
        return np.where(kept, np.cumsum(kept) - 1, -1)


def row_hash(document: Document) -> str:
    """Return the hash of what a document adds to a snapshot's identity: its text, and what a reader or a model is shown of it."""
    row: dict[str, Any] = {
        "document_id": document.document_id,
        "uri": document.uri,
        "title": document.title,
        "revision": document.revision,
        "metadata": json.dumps(document.metadata, sort_keys=True, ensure_ascii=False),
        "headings": [[heading.start, heading.level, heading.title] for heading in document.headings],
        "pages": list(document.pages),
    }
    return hashlib.sha256(rfc8785.dumps(row)).hexdigest()


class SegmentWriter:
    """Takes documents, holds them in memory, and writes them as one segment."""

    def __init__(self, base: Path, dim: int) -> None:
        """Begin a segment of the collection whose folder is ``base``."""
        import faiss  # native; only who writes or searches pays for it

        self._base = base
        self._index = faiss.IndexFlatIP(dim)
        self._lines: list[bytes] = []
        self._documents: list[tuple[bytes, bytes, int]] = []
        self._chunks: list[npt.NDArray[Any]] = []
        self._words = Collecting()
        self._size = 0

    @property
    def size(self) -> int:
        """How many chunks it holds so far."""
        return int(self._index.ntotal)

    def add(self, new: NewDocument) -> None:
        """Take the next document."""
        rows = np.zeros(len(new.ranges), dtype=CHUNK_ROW)
        rows["document"] = len(self._documents)
        rows["start"] = [start for start, _ in new.ranges]
        rows["end"] = [end for _, end in new.ranges]
        self._chunks.append(rows)
        if len(rows):
            self._index.add(new.vectors)
        for words in new.words:
            self._words.add(words)
        line = json.dumps(asdict(new.document), ensure_ascii=False, sort_keys=True).encode() + b"\n"
        self._documents.append((new.document.document_id.encode(), row_hash(new.document).encode(), self._size))
        self._lines.append(line)
        self._size += len(line)

    def finish(self, ask: Callable[[], Asked] | None = None) -> dict[str, Any]:
        """Write the segment's files, flushed to the disk; return its entry for a manifest.

        Args:
            ask: Gives questions to tune approximate search by, where the segment is large; without it, search is exact.
        """
        chunks = np.concatenate(self._chunks) if self._chunks else np.zeros(0, CHUNK_ROW)
        documents = np.array(self._documents, dtype=DOCUMENT_ROW)
        return _write(self._base, self._index, chunks, documents, b"".join(self._lines), self._words.finish(), ask)


def merge(base: Path, dim: int, parts: Sequence[tuple[Segment, Flags]], ask: Callable[[], Asked] | None = None) -> dict[str, Any]:
    """Write one segment that holds the flagged documents of several; return its entry. Vectors are copied, not made again."""
    import faiss

    index = faiss.IndexFlatIP(dim)
    lines: list[bytes] = []
    documents, chunks, words = [], [], []
    size = before = 0
    for segment, kept in parts:
        moved = segment.carried(kept)
        for start in range(0, len(moved), _BLOCK):
            block = segment.index.reconstruct_n(start, min(_BLOCK, len(moved) - start))
            index.add(np.ascontiguousarray(block[moved[start : start + _BLOCK] >= 0]))
        rows = np.array(segment.chunks[moved >= 0])
        rows["document"] = (np.cumsum(kept) - 1)[rows["document"]] + len(lines)
        chunks.append(rows)
        words.append((segment.postings, np.where(moved >= 0, moved + before, -1)))
        before += len(rows)
        for line in np.flatnonzero(kept):
            document_id, row, at = segment.documents[line].tolist()
            text = segment.lines[at : segment.lines.find(b"\n", at) + 1]
            documents.append((document_id, row, size))
            lines.append(text)
            size += len(text)
    table = np.array(documents, dtype=DOCUMENT_ROW)
    return _write(base, index, np.concatenate(chunks), table, b"".join(lines), postings.merged(words), ask)


def _write(
    base: Path,
    index: Any,
    chunks: npt.NDArray[Any],
    documents: npt.NDArray[Any],
    lines: bytes,
    lexical: Mapping[str, npt.NDArray[Any]],
    ask: Callable[[], Asked] | None,
) -> dict[str, Any]:
    arrays = {"chunks.npy": chunks, "documents.npy": documents, **lexical}
    # Written a piece at a time: a copy of what is large would be the most that an ingest ever holds.
    files: dict[str, bytes | Writing] = {name: _npy(array) for name, array in arrays.items()}
    files |= {"vectors.faiss": _faiss(index), "documents.jsonl": lines}
    asked = ask() if ask is not None and index.ntotal >= ann.FROM else None
    tuned = None if asked is None else ann.build(index, asked)
    if tuned is not None and asked is not None:
        files |= {_ANN: _faiss(tuned[0]), _QUESTIONS: _npy(asked.table())}
    segment_id = "seg_" + secrets.token_hex(8)
    folder = base / "segments" / segment_id
    hashes = write_together({folder / name: content for name, content in files.items()})
    fsync_folder(folder.parent)
    return {
        "id": segment_id,
        "files": {path.name: hashes[path] for path in sorted(hashes)},
        "documents": len(documents),
        "chunks": len(chunks),
        **({"ann": tuned[1]} if tuned is not None else {}),
    }


def open_segment(base: Path, entry: Mapping[str, Any]) -> Segment:
    """Open a segment after comparing every file of it with its hash.

    Raises:
        OSError, ValueError, KeyError, RuntimeError: A file is missing or not what the entry says.
    """
    import faiss

    folder = base / "segments" / entry["id"]
    if sorted(entry["files"]) != sorted((*_FILES, *((_ANN, _QUESTIONS) if "ann" in entry else ()))):
        raise ValueError(f"{entry['id']}: its files are not those of this format")
    for name, wanted in entry["files"].items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
                raise ValueError(f"{entry['id']}/{name} does not match its hash")
    with (folder / "documents.jsonl").open("rb") as file:
        lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if entry["documents"] else b""
    segment = Segment(
        entry["id"],
        entry,
        np.load(folder / "chunks.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "documents.npy", mmap_mode="r", allow_pickle=False),
        faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC),
        postings.load(folder),
        lines,
        ann.load(folder / _ANN) if "ann" in entry else None,
        ann.read_asked(folder / _QUESTIONS) if "ann" in entry else None,
    )
    counts = (len(segment.chunks), segment.index.ntotal, len(segment.postings.lengths))
    if counts != (entry["chunks"],) * 3 or len(segment.documents) != entry["documents"]:
        raise ValueError(f"{entry['id']}: chunks, vectors and words are {counts}, not {entry['chunks']} each")
    return segment


def faults(segment: Segment, chars: npt.NDArray[np.int64]) -> Iterator[str]:
    """Yield what is wrong inside a segment though its files are whole, in words.

    Args:
        segment: An open one.
        chars: The length of each document's text, by line.
    """
    rows, name = segment.chunks, segment.segment_id
    if not ((rows["start"] >= 0) & (rows["start"] < rows["end"]) & (rows["end"] <= chars[rows["document"]])).all():
        yield f"{name}: a chunk lies outside its document"
    if (np.diff(rows["document"]) < 0).any():
        yield f"{name}: the chunks of a document do not stand together"
    for start in range(0, len(rows), _BLOCK):
        block = segment.index.reconstruct_n(start, min(_BLOCK, len(rows) - start))
        if not np.allclose(np.linalg.norm(block, axis=1), 1, atol=1e-4):
            yield f"{name}: a vector is not of unit length"
            break
    words = segment.postings
    totals = np.bincount(words.rows, words.counts, minlength=len(rows)) if len(words.rows) else np.zeros(len(rows))
    if (totals > words.lengths).any():
        yield f"{name}: a chunk holds more words than it is long"
    for row in np.linspace(0, len(rows) - 1, min(len(rows), 20)).astype(int):
        scores, _ = segment.index.search(segment.index.reconstruct(int(row)).reshape(1, -1), 1)
        if scores[0, 0] < 0.999:
            yield f"{name}: a chunk is not found by its own vector"
            break


def _npy(array: npt.NDArray[Any]) -> Writing:
    return lambda draft: np.save(draft, array, allow_pickle=False)


def _faiss(index: Any) -> Writing:
    import faiss

    return lambda draft: faiss.write_index(index, faiss.PyCallbackIOWriter(draft.write))  # type: ignore[attr-defined]
