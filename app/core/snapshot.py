"""The on-disk index format: written by ingest, read by retrieve, defined only here.

    <indexes>/<collection>/
        CURRENT                      the id of the published snapshot, replaced atomically
        snapshots/<id>/manifest.json what it is made of, with the sha256 of every file
        segments/<id>/               vectors.faiss, chunks.npy, documents.jsonl; row i of vectors embeds chunk i
        texts/<revision>             normalised text; its name is its hash
        LOCK                         held by the one process that publishes

Nothing is ever changed in place: a reader sees one complete snapshot or the next. Text is stored once, under its
revision; chunks and quotes are ranges of it.
"""

import hashlib
import json
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import rfc8785

from app.core.errors import CollectionUnknown, IndexMissing, IndexUnusable, NotFound
from app.core.types import Chunk, Document, Heading, Vectors, revision_of

FORMAT = 1
COLLECTION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

CHUNK_ROW = np.dtype([("document", "<i4"), ("start", "<i4"), ("end", "<i4")])
"""One row per chunk: its document's line in documents.jsonl, and its range in that document's text."""

_CACHED_CHARS = 20_000_000
_MEND = "Ingest the documents again with `citewell ingest`."


@dataclass(frozen=True, slots=True)
class Segment:
    """Documents with their chunks and vectors, immutable."""

    segment_id: str
    documents: tuple[Document, ...]
    chunks: npt.NDArray[np.void]
    index: Any
    """A faiss index, memory-mapped; inner product of unit vectors is the cosine."""


@dataclass(frozen=True)
class Snapshot:
    """A complete, checked index of a collection, open for reading."""

    snapshot_id: str
    collection: str
    manifest: Mapping[str, Any]
    segments: tuple[Segment, ...]
    texts: "Texts"

    @cached_property
    def documents(self) -> dict[str, Document]:
        """Every document by id."""
        return {document.document_id: document for segment in self.segments for document in segment.documents}

    @property
    def chunks(self) -> int:
        """How many chunks can be found."""
        return sum(len(segment.chunks) for segment in self.segments)

    def chunk(self, segment: Segment, row: int) -> Chunk:
        """Return the chunk that a row of ``segment`` embeds."""
        number, start, end = (int(value) for value in segment.chunks[row].tolist())
        document = segment.documents[number]
        return Chunk(document, start, end, self.texts.read(document.revision)[start:end])


class Texts:
    """Normalised texts by revision, the recently read ones in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._chars = 0
        self._lock = Lock()

    def read(self, revision: str) -> str:
        """Return the text of a revision.

        Raises:
            NotFound: There is no such revision here.
            IndexUnusable: The file's content is not what its name says.
        """
        with self._lock:
            if revision in self._kept:
                self._kept.move_to_end(revision)
                return self._kept[revision]
        if not re.fullmatch(r"[0-9a-f]{64}", revision):
            raise NotFound("There is no such revision.")
        try:
            text = (self._folder / revision).read_bytes().decode()
        except FileNotFoundError:
            raise NotFound("There is no such revision.") from None
        except UnicodeDecodeError:
            text = ""
        if revision_of(text) != revision:
            raise IndexUnusable(f"The stored text of a document is damaged. {_MEND}", detail=f"texts/{revision}")
        with self._lock:
            self._kept[revision] = text
            self._chars += len(text)
            while self._chars > _CACHED_CHARS and len(self._kept) > 1:
                self._chars -= len(self._kept.popitem(last=False)[1])
        return text


class NewDocument(NamedTuple):
    """A document about to be published: its chunks' ranges, and their vectors in the same order."""

    document: Document
    ranges: Sequence[tuple[int, int]]
    vectors: Vectors


def folder_of(root: Path, collection: str) -> Path:
    """Return the folder of a collection.

    Raises:
        CollectionUnknown: The name is none that a collection can have (so it never names a path).
    """
    if not COLLECTION_NAME.fullmatch(collection):
        raise CollectionUnknown(
            "A collection's name has 1 to 64 of the characters a-z, 0-9, - and _, and begins with a letter or digit."
        )
    return root / collection


def collections(root: Path) -> list[str]:
    """Return the names of the collections that have a published snapshot, sorted."""
    if not root.is_dir():
        return []
    return sorted(
        entry.name for entry in root.iterdir() if COLLECTION_NAME.fullmatch(entry.name) and (entry / "CURRENT").is_file()
    )


def current_id(root: Path, collection: str) -> str | None:
    """Return the id of the published snapshot; None when nothing was ever published."""
    try:
        return (folder_of(root, collection) / "CURRENT").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


# ------------------------------------------------------------------------------------------ writing


def snapshot_id(documents: Iterable[Document], built_with: Mapping[str, Any]) -> str:
    """Return the id of a snapshot: the hash of its logical content, so the same on any machine.

    Args:
        documents: In any order.
        built_with: Embedder and chunker, as they stand in the manifest.
    """
    content = hashlib.sha256(rfc8785.dumps(dict(built_with)))
    for document in sorted(documents, key=lambda document: document.document_id):
        row = {
            "document_id": document.document_id,
            "uri": document.uri,
            "title": document.title,
            "revision": document.revision,
            "metadata": json.dumps(document.metadata, sort_keys=True, ensure_ascii=False),
        }
        content.update(rfc8785.dumps(row))
    return "snap_" + content.hexdigest()[:16]


def write_text(root: Path, collection: str, revision: str, text: str) -> None:
    """Store a text under its revision, durably; one that is there stays as it is."""
    folder = folder_of(root, collection) / "texts"
    if not (folder / revision).exists():
        _write_aside(folder / revision, text.encode())


def write_snapshot(
    root: Path,
    collection: str,
    new: Sequence[NewDocument],
    *,
    built_with: Mapping[str, Any],
    notes: Mapping[str, Any],
) -> str:
    """Write a snapshot beside the published one and return its id. Does not publish it.

    Texts must have been written. Writing the same content twice changes nothing.

    Args:
        root: The folder of all collections.
        collection: Its name.
        new: Every document of the snapshot.
        built_with: Embedder and chunker; part of the id.
        notes: What the manifest says beside it (time, sources); no part of the id.
    """
    import faiss  # native; only who writes or searches pays for it

    base = folder_of(root, collection)
    identity = snapshot_id((item.document for item in new), built_with)
    segment = "seg_" + identity.removeprefix("snap_") + "_" + secrets.token_hex(2)
    counts = [len(item.ranges) for item in new]
    chunks = np.zeros(sum(counts), dtype=CHUNK_ROW)
    chunks["document"] = np.repeat(np.arange(len(new)), counts)
    chunks["start"] = [start for item in new for start, _ in item.ranges]
    chunks["end"] = [end for item in new for _, end in item.ranges]
    index = faiss.IndexFlatIP(int(built_with["embedder"]["dim"]))
    for item in new:
        if len(item.vectors):
            index.add(item.vectors)
    lines = "".join(json.dumps(asdict(item.document), ensure_ascii=False, sort_keys=True) + "\n" for item in new)

    folder = base / "segments" / segment
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "vectors.faiss": faiss.serialize_index(index).tobytes(),
        "chunks.npy": _npy(chunks),
        "documents.jsonl": lines.encode(),
    }
    for name, data in files.items():
        _write_aside(folder / name, data)
    manifest = {
        "format": FORMAT,
        "collection": collection,
        "snapshot": identity,
        **built_with,
        "segments": [
            {
                "id": segment,
                "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
                "documents": len(new),
                "chunks": len(chunks),
            }
        ],
        "counts": {"documents": len(new), "chunks": len(chunks)},
        **notes,
    }
    _fsync_folder(folder)
    _fsync_folder(folder.parent)
    target = base / "snapshots" / identity / "manifest.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    _write_aside(target, json.dumps(manifest, indent=2, ensure_ascii=False).encode())
    _fsync_folder(target.parent.parent)
    _fsync_folder(base)
    return identity


def publish(root: Path, collection: str, identity: str) -> None:
    """Point CURRENT at a snapshot that was written and verified. Readers see the old id or the new one, never half of one."""
    _write_aside(folder_of(root, collection) / "CURRENT", identity.encode())


def _write_aside(target: Path, data: bytes) -> None:
    """Write under another name, flush to the disk, rename, flush the folder: after a crash the file is whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    _fsync_folder(target.parent)


def _fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _npy(array: npt.NDArray[Any]) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------ reading


def open_current(root: Path, collection: str) -> Snapshot:
    """Open the published snapshot.

    Raises:
        IndexMissing: Nothing was ever published.
        IndexUnusable: The files disagree with the manifest.
    """
    identity = current_id(root, collection)
    if identity is None:
        raise IndexMissing(
            f"The collection `{collection}` has no index yet. Build one with `citewell ingest PATH --collection {collection}`."
        )
    return open_snapshot(root, collection, identity)


def open_snapshot(root: Path, collection: str, identity: str) -> Snapshot:
    """Open one snapshot, published or not, after comparing every file of it with its hash.

    Raises:
        IndexUnusable: A file is missing or not what the manifest says.
    """
    import faiss

    base = folder_of(root, collection)
    manifest = _manifest(base, identity)
    segments = []
    try:
        for entry in manifest["segments"]:
            folder = base / "segments" / entry["id"]
            for name, wanted in entry["files"].items():
                with (folder / name).open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
                        raise ValueError(f"{entry['id']}/{name} does not match its hash")
            lines = (folder / "documents.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
            segment = Segment(
                entry["id"],
                tuple(_document(json.loads(line)) for line in lines),
                np.load(folder / "chunks.npy", mmap_mode="r", allow_pickle=False),
                faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC),
            )
            if not len(segment.chunks) == segment.index.ntotal == entry["chunks"]:
                raise ValueError(f"{entry['id']}: {len(segment.chunks)} chunks, {segment.index.ntotal} vectors")
            segments.append(segment)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _unusable(collection, f"{identity}: {error}") from error
    return Snapshot(identity, collection, manifest, tuple(segments), Texts(base / "texts"))


def verify(snapshot: Snapshot) -> Iterator[str]:
    """Yield every fault of an open snapshot that its file hashes don't show, in words; nothing when it is sound.

    Counts, ranges, unit vectors, the id itself, and each document's text against its revision.
    """
    counts = snapshot.manifest["counts"]
    if (counts["documents"], counts["chunks"]) != (len(snapshot.documents), snapshot.chunks):
        yield f"the manifest counts {counts}, the segments hold {len(snapshot.documents)} documents, {snapshot.chunks} chunks"
    built_with = {name: snapshot.manifest[name] for name in ("embedder", "chunker", "normaliser")}
    if snapshot_id(snapshot.documents.values(), built_with) != snapshot.snapshot_id:
        yield "the snapshot's id is not the hash of its content"
    for segment in snapshot.segments:
        for document in segment.documents:
            try:
                if len(snapshot.texts.read(document.revision)) != document.chars:
                    yield f"{document.uri}: its text has another length than recorded"
            except (NotFound, IndexUnusable):
                yield f"{document.uri}: its text is missing or damaged"
        ends = np.array([document.chars for document in segment.documents], dtype=np.int64)
        rows = segment.chunks
        if (
            len(rows)
            and not ((rows["start"] >= 0) & (rows["start"] < rows["end"]) & (rows["end"] <= ends[rows["document"]])).all()
        ):
            yield f"{segment.segment_id}: a chunk lies outside its document"
        for start in range(0, len(rows), 10_000):
            block = segment.index.reconstruct_n(start, min(10_000, len(rows) - start))
            if not np.allclose(np.linalg.norm(block, axis=1), 1, atol=1e-4):
                yield f"{segment.segment_id}: a vector is not of unit length"
                break


def _manifest(base: Path, identity: str) -> dict[str, Any]:
    if not re.fullmatch(r"snap_[0-9a-f]{16}", identity):
        raise _unusable(base.name, f"{identity!r} is no snapshot id")
    try:
        manifest: dict[str, Any] = json.loads((base / "snapshots" / identity / "manifest.json").read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, this version reads {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(base.name, f"manifest of {identity}: {error}") from error
    return manifest


def _unusable(collection: str, detail: str) -> IndexUnusable:
    return IndexUnusable(
        f"The index of `{collection}` is damaged: `citewell index verify --collection {collection}` says where. {_MEND}",
        detail=detail,
    )


def _document(row: dict[str, Any]) -> Document:
    headings = tuple(Heading(**heading) for heading in row.pop("headings"))
    return Document(**{**row, "pages": tuple(row.pop("pages")), "headings": headings})
