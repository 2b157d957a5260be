"""A snapshot: a manifest, the segments that it names, and what of them it leaves out. Written, opened and checked here."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rfc8785

from app.core.errors import IndexMissing, IndexUnusable, NotFound
from app.core.snapshot.layout import SNAPSHOT_ID, current_id, folder_of, fsync_folder, stamp, write_aside
from app.core.snapshot.segment import Flags, Segment, faults, open_segment, row_hash
from app.core.snapshot.texts import Texts
from app.core.types import Chunk, Document

FORMAT = 2
BUILT_WITH = ("embedder", "chunker", "normaliser", "words")
"""The manifest's fields that are part of a snapshot's id beside its documents."""


class Place(NamedTuple):
    """Where a document is: the number of its segment, and its line there."""

    segment: int
    line: int


@dataclass(frozen=True)
class Snapshot:
    """A complete, checked index of a collection, open for reading."""

    snapshot_id: str
    collection: str
    manifest: Mapping[str, Any]
    segments: tuple[Segment, ...]
    kept: tuple[Flags, ...]
    """For each segment, which of its documents the snapshot holds."""
    texts: Texts

    @property
    def built_with(self) -> dict[str, Any]:
        """Embedder, chunker, normaliser and word rules."""
        return {name: self.manifest[name] for name in BUILT_WITH}

    @property
    def erased(self) -> dict[str, str]:
        """Documents of it that were erased and removed from its files: id -> hash of the row that they had."""
        return dict(self.manifest["erased"])

    @property
    def size(self) -> int:
        """How many documents it holds."""
        return sum(int(kept.sum()) for kept in self.kept)

    @property
    def chunks(self) -> int:
        """How many chunks can be found."""
        return sum(int(kept[s.chunks["document"]].sum()) for s, kept in zip(self.segments, self.kept, strict=True))

    @cached_property
    def ids(self) -> list[str]:
        """The id of every document, sorted."""
        return sorted(i.decode() for s, kept in zip(self.segments, self.kept, strict=True) for i in s.documents["id"][kept])

    def documents(self) -> Iterator[Document]:
        """Yield every document, in the order of the segments."""
        for segment, kept in zip(self.segments, self.kept, strict=True):
            for line in np.flatnonzero(kept):
                yield segment.document(int(line))

    def place(self, document_id: str) -> Place | None:
        """Return where a document is; None when the snapshot does not hold it."""
        for number, (segment, kept) in enumerate(zip(self.segments, self.kept, strict=True)):
            line = segment.line_of(document_id)
            if line is not None and kept[line]:
                return Place(number, line)
        return None

    def document(self, document_id: str) -> Document | None:
        """Return a document by its id; None when the snapshot does not hold it."""
        place = self.place(document_id)
        return self.segments[place.segment].document(place.line) if place else None

    def chunk(self, segment: Segment, row: int) -> Chunk:
        """Return the chunk that a row of ``segment`` embeds."""
        line, start, end = (int(value) for value in segment.chunks[row].tolist())
        document = segment.document(line)
        return Chunk(document, start, end, self.texts.read(document.revision)[start:end])


def snapshot_id(rows: Iterable[tuple[str, str]], built_with: Mapping[str, Any]) -> str:
    """Return the id of a snapshot: the hash of its logical content, so the same on any machine and for any layout of segments.

    Args:
        rows: Each document's id and the hash of its row, in any order; erased documents too, so that the id outlives an erasure.
        built_with: Embedder, chunker, normaliser and word rules, as they stand in the manifest.
    """
    content = hashlib.sha256(rfc8785.dumps({name: built_with[name] for name in BUILT_WITH}))
    for document_id, row in sorted(rows):
        content.update(f"\n{document_id} {row}".encode())
    return "snap_" + content.hexdigest()[:16]


def rows_of(segment: Segment, kept: Flags) -> list[tuple[str, str]]:
    """Return the id and row hash of each document that is kept of a segment."""
    table = segment.documents[kept]
    return [(i.decode(), row.decode()) for i, row in zip(table["id"].tolist(), table["row"].tolist(), strict=True)]


def compose(
    root: Path,
    collection: str,
    parts: Sequence[tuple[Segment, Flags]],
    *,
    built_with: Mapping[str, Any],
    notes: Mapping[str, Any],
    erased: Mapping[str, str] | None = None,
) -> Snapshot:
    """Make a snapshot of segments that were written. Nothing of it is stored yet.

    Args:
        root: The folder of all collections.
        collection: Its name.
        parts: Segments, and which of their documents the snapshot holds.
        built_with: What it was built with; part of the id.
        notes: What the manifest says beside it (time, sources); no part of the id.
        erased: Documents that belong to its content and were erased from its files: id -> row hash.
    """
    erased = dict(sorted((erased or {}).items()))
    rows = [row for segment, kept in parts for row in rows_of(segment, kept)]
    identity = snapshot_id([*rows, *erased.items()], built_with)
    manifest = {
        "format": FORMAT,
        "collection": collection,
        "snapshot": identity,
        **built_with,
        "segments": [{**segment.entry, "dropped": np.flatnonzero(~kept).tolist()} for segment, kept in parts],
        "counts": {
            "documents": len(rows),
            "chunks": sum(int(kept[segment.chunks["document"]].sum()) for segment, kept in parts),
        },
        "erased": erased,
        **notes,
    }
    segments, kept = tuple(segment for segment, _ in parts), tuple(kept for _, kept in parts)
    return Snapshot(identity, collection, manifest, segments, kept, Texts(folder_of(root, collection) / "texts"))


def manifest_bytes(snapshot: Snapshot) -> bytes:
    """Return a snapshot's manifest as it is stored."""
    return json.dumps(snapshot.manifest, indent=2, ensure_ascii=False).encode()


def write_manifest(root: Path, snapshot: Snapshot) -> None:
    """Store a snapshot; the same content in another layout of segments takes the place of the manifest that was there."""
    base = folder_of(root, snapshot.collection)
    target = base / "snapshots" / snapshot.snapshot_id / "manifest.json"
    write_aside(target, manifest_bytes(snapshot))
    fsync_folder(target.parent.parent)
    fsync_folder(base)


def open_current(root: Path, collection: str, *, reuse: Iterable[Segment] = ()) -> Snapshot:
    """Open the published snapshot.

    Args:
        root: The folder of all collections.
        collection: Its name.
        reuse: Segments that are open and were checked; those of them that the snapshot names are taken as they are.

    Raises:
        IndexMissing: Nothing was ever published.
        IndexUnusable: The files disagree with the manifest.
    """
    identity = current_id(root, collection)
    if identity is None:
        raise IndexMissing(
            f"The collection `{collection}` has no index yet. Build one with `citewell ingest PATH --collection {collection}`."
        )
    seen = stamp(root, collection)
    try:
        return open_snapshot(root, collection, identity, reuse=reuse)
    except IndexUnusable:
        if stamp(root, collection) == seen:
            raise
        return open_current(root, collection, reuse=reuse)  # it was published anew while we looked, and the old segments are gone


def open_snapshot(root: Path, collection: str, identity: str, *, reuse: Iterable[Segment] = ()) -> Snapshot:
    """Open one snapshot, published or not, after comparing every file of it with its hash.

    Raises:
        IndexUnusable: A file is missing or not what the manifest says.
    """
    base = folder_of(root, collection)
    manifest = read_manifest(root, collection, identity)
    known = {segment.segment_id: segment for segment in reuse}
    segments, kept = [], []
    try:
        for entry in manifest["segments"]:
            entry = dict(entry)
            flags = np.ones(entry["documents"], dtype=bool)
            flags[entry.pop("dropped")] = False
            old = known.get(entry["id"])
            segments.append(old if old is not None and old.entry == entry else open_segment(base, entry))
            kept.append(flags)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
        raise _unusable(collection, f"{identity}: {error}") from error
    return Snapshot(identity, collection, manifest, tuple(segments), tuple(kept), Texts(base / "texts"))


def verify(snapshot: Snapshot, *, known: Iterable[Segment] = ()) -> Iterator[str]:
    """Yield every fault of an open snapshot that its file hashes don't show, in words; nothing when it is sound.

    Counts, the id itself, ranges, unit vectors, words, each document's text against its revision, and probes: chunks that must be
    found by their own vectors.

    Args:
        snapshot: An open one.
        known: Segments that were verified before and need no second look.
    """
    counts = snapshot.manifest["counts"]
    if (counts["documents"], counts["chunks"]) != (snapshot.size, snapshot.chunks):
        yield f"the manifest counts {counts}, the segments hold {snapshot.size} documents, {snapshot.chunks} chunks"
    rows = [row for segment, kept in zip(snapshot.segments, snapshot.kept, strict=True) for row in rows_of(segment, kept)]
    if len({document_id for document_id, _ in rows}) != len(rows):
        yield "a document is there twice"
    if snapshot_id([*rows, *snapshot.erased.items()], snapshot.built_with) != snapshot.snapshot_id:
        yield "the snapshot's id is not the hash of its content"
    checked = {segment.segment_id for segment in known}
    for segment, kept in zip(snapshot.segments, snapshot.kept, strict=True):
        if segment.segment_id in checked:
            continue
        chars = np.zeros(len(segment.documents), dtype=np.int64)
        for line in range(len(segment.documents)):
            document = segment.document(line)
            chars[line] = document.chars
            if (document.document_id, row_hash(document)) != _named(segment, line):
                yield f"{segment.segment_id}: {document.uri} is not the document that its table names"
            if kept[line]:
                yield from _text_faults(snapshot, document)
        yield from faults(segment, chars)


def _named(segment: Segment, line: int) -> tuple[str, str]:
    document_id, row, _ = segment.documents[line].tolist()
    return document_id.decode(), row.decode()


def _text_faults(snapshot: Snapshot, document: Document) -> Iterator[str]:
    try:
        if len(snapshot.texts.read(document.revision)) != document.chars:
            yield f"{document.uri}: its text has another length than recorded"
    except (NotFound, IndexUnusable):
        yield f"{document.uri}: its text is missing or damaged"


def read_manifest(root: Path, collection: str, identity: str) -> dict[str, Any]:
    """Return a snapshot's manifest.

    Raises:
        IndexUnusable: There is none, it can't be read, or is of another format.
    """
    if not SNAPSHOT_ID.fullmatch(identity):
        raise _unusable(collection, f"{identity!r} is no snapshot id")
    try:
        text = (folder_of(root, collection) / "snapshots" / identity / "manifest.json").read_text(encoding="utf-8")
        manifest: dict[str, Any] = json.loads(text)
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, this version reads {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(collection, f"manifest of {identity}: {error}") from error
    return manifest


def _unusable(collection: str, detail: str) -> IndexUnusable:
    return IndexUnusable(
        f"The index of `{collection}` is damaged: `citewell index verify --collection {collection}` says where. "
        f"Ingest the documents again with `citewell ingest`.",
        detail=detail,
    )
