"""The document path, whole: load, parse, validate, chunk, delta, embed, publish."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.core import snapshot
from app.core.config import Settings
from app.core.embed import EmbedderFiles, Pieces, find_embedder
from app.core.errors import DocumentRefused, IndexMissing, IndexUnusable, Misconfigured
from app.core.snapshot import NewDocument, Snapshot
from app.core.text import NORMALISER
from app.core.types import Document, Vectors, document_id, revision_of
from ingest.chunk import CHUNKER, chunk, embedded_text
from ingest.delta import Delta, compare, fingerprint
from ingest.embed import embed_chunks
from ingest.load import Item, Refused, Skipped, read
from ingest.parse import parse
from ingest.publish import exclusive, publish
from ingest.validate import validate

Progress = Callable[[str, int, int | None], None]
"""Called with a step's name, how much was done since the last call, and the whole amount where it is known."""


def silent(step: str, amount: int, whole: int | None) -> None:
    """Tell nobody how far the work is."""


@dataclass
class Report:
    """What a run did, in the contract's words."""

    collection: str
    snapshot: str | None = None
    published: bool = False
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0
    read: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    sync_held: bool = False
    """``sync`` was asked for and dropped nothing, because something unnamed could not be read."""

    def as_json(self) -> dict[str, Any]:
        """Return it as ``citewell ingest --json`` prints it."""
        return {
            "collection": self.collection,
            "snapshot": self.snapshot,
            "documents": {
                "added": self.added,
                "changed": self.changed,
                "unchanged": self.unchanged,
                "deleted": self.deleted,
                "refused": len(self.refused),
            },
            "chunks": self.chunks,
            "seconds": round(self.seconds, 3),
            "sources": {"read": self.read, "skipped": len(self.skipped)},
            "refused": [{"source": r.source, "code": r.code, "message": r.message} for r in self.refused],
        }


@dataclass
class _Parsed:
    """A document that is to be indexed anew, before its vectors are there."""

    document: Document
    text: str
    ranges: list[tuple[int, int]]


def build(
    path: Path,
    *,
    collection: str,
    settings: Settings,
    source: str | None = None,
    exclude: Sequence[str] = (),
    sync: bool = False,
    progress: Progress = silent,
) -> Report:
    """Index a file or folder into a collection and publish the result.

    What other sources put into the collection stays; a document that can't be read now but could before stays as it was.

    Args:
        path: A file, or a folder with everything below it.
        collection: Made when it does not exist.
        settings: Where indexes lie, which embedder, how long chunks are.
        source: First part of the documents' URIs; the folder's name when not given.
        exclude: Globs of file names, or of paths below the root.
        sync: Drop the source's documents that it holds no more.
        progress: Told how far the work is.

    Raises:
        Misconfigured: Another ingest is running, or the source's name belongs to another root.
        CollectionUnknown: The collection's name is none.
    """
    started = time.perf_counter()
    root = settings.indexes_dir
    files = find_embedder(settings.embedder)
    built_with: dict[str, Any] = {
        "embedder": files.identity.as_json(),
        "chunker": {"name": CHUNKER, "pieces": settings.ingest.chunk_pieces},
        "normaliser": NORMALISER,
    }
    name = source or _source_name(path)
    report = Report(collection)
    with exclusive(root, collection):
        previous = _previous(root, collection)
        sources = _sources(previous, name, path, explicit=source is not None)
        delta = compare(previous, built_with)
        new, seen = _read(path, delta, report, files, settings, source=source, exclude=exclude, progress=progress)
        if sync and any(refused.uri is None for refused in report.refused):
            report.sync_held = True  # which documents those were is not known: none of this source may be dropped
        elif sync:
            delta.deleted = delta.lost(_prefix(name, path), seen)
        taken_over = list(delta.carried({item.document.document_id for item in new} | delta.deleted))
        if not delta.comparable and taken_over:
            raise Misconfigured(
                "The embedder or the chunker changed, and the collection holds documents of other sources, which "
                "would have to be ingested again too: ingest everything into a new collection, or set the settings back."
            )
        vectors = _embed(new, files, settings, report, progress)
        documents = sorted([*vectors, *taken_over], key=lambda item: item.document.uri)
        report.added, report.changed = len(delta.added), len(delta.changed)
        report.unchanged, report.deleted = len(delta.unchanged), len(delta.deleted)
        if documents:
            notes = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "sources": sources}
            report.snapshot, report.published = publish(root, collection, documents, built_with=built_with, notes=notes)
            report.chunks = sum(len(item.ranges) for item in documents)
    report.seconds = time.perf_counter() - started
    return report


def _read(
    path: Path,
    delta: Delta,
    report: Report,
    files: EmbedderFiles,
    settings: Settings,
    *,
    source: str | None,
    exclude: Sequence[str],
    progress: Progress,
) -> tuple[list[_Parsed], set[str]]:
    """Load, parse, validate and chunk; return what must be embedded, and the id of every document that the source holds."""
    new: list[_Parsed] = []
    seen: set[str] = set()
    pieces: Pieces | None = None
    limit = settings.ingest.max_document_bytes
    for found in read(path, source=source, exclude=exclude, max_bytes=limit):
        match found:
            case Skipped():
                report.skipped.append(found)
                continue
            case Refused():
                report.refused.append(found)
                if found.uri:  # it is still in its source: what was indexed of it stays
                    seen.add(document_id(report.collection, found.uri))
                continue
        progress("reading", 1, None)
        report.read += 1
        identity, print_ = document_id(report.collection, found.uri), fingerprint(found.raw)
        seen.add(identity)
        if delta.is_unchanged(identity, print_):
            delta.unchanged.add(identity)
            continue
        try:
            document, text = _document(found, identity, print_)
        except DocumentRefused as refusal:
            report.refused.append(Refused(found.source, found.uri, refusal.reason, refusal.message))
            continue
        pieces = pieces or Pieces(files)
        ranges = chunk(text, document.headings, document.title, tokenize=pieces.offsets, limit=settings.ingest.chunk_pieces)
        snapshot.write_text(settings.indexes_dir, report.collection, document.revision, text)
        delta.record(document)
        new.append(_Parsed(document, text, ranges))
    return new, seen


def _document(item: Item, identity: str, print_: str) -> tuple[Document, str]:
    parsed = validate(parse(item))
    document = Document(
        document_id=identity,
        uri=item.uri,
        title=parsed.title,
        revision=revision_of(parsed.text),
        fingerprint=print_,
        chars=len(parsed.text),
        headings=parsed.headings,
        pages=parsed.pages,
        metadata=parsed.metadata,
    )
    return document, parsed.text


def _embed(
    new: Sequence[_Parsed], files: EmbedderFiles, settings: Settings, report: Report, progress: Progress
) -> list[NewDocument]:
    if not new:
        return []
    pieces = Pieces(files)
    texts = [
        embedded_text(item.document.title, item.text[start:end], pieces.offsets) for item in new for start, end in item.ranges
    ]
    # The same text twice (boilerplate, a copied page) is embedded once.
    distinct = list(dict.fromkeys(texts))
    row_of = {text: row for row, text in enumerate(distinct)}
    rows: Vectors = embed_chunks(
        distinct,
        files,
        cache_dir=settings.cache_dir,
        batch=settings.ingest.batch,
        done=lambda n: progress("embedding", n, len(distinct)),
    )
    report.embedded = len(distinct)
    documents: list[NewDocument] = []
    position = 0
    for item in new:
        mine = texts[position : position + len(item.ranges)]
        position += len(mine)
        documents.append(NewDocument(item.document, item.ranges, rows[[row_of[text] for text in mine]]))
    return documents


def _previous(root: Path, collection: str) -> Snapshot | None:
    """Open what is published; a damaged index is no reason to stop: ingesting is what mends it."""
    try:
        return snapshot.open_current(root, collection)
    except (IndexMissing, IndexUnusable):
        return None


def _source_name(path: Path) -> str:
    resolved = path.resolve()
    return resolved.name if resolved.is_dir() else resolved.parent.name


def _prefix(name: str, path: Path) -> tuple[str, ...]:
    """Return how the URIs of a source begin: a lone file's rows begin with the file's name."""
    return (f"{name}/",) if path.is_dir() else (f"{name}/{path.name}", f"{path.name}#")


def _sources(previous: Snapshot | None, name: str, path: Path, *, explicit: bool) -> dict[str, str]:
    resolved = path.resolve()
    root = str(resolved if resolved.is_dir() else resolved.parent)
    known: dict[str, str] = dict(previous.manifest.get("sources", {})) if previous else {}
    if known.get(name, root) != root and not explicit:
        raise Misconfigured(
            f"The source `{name}` of this collection was {known[name]}; {root} is another folder of the same name. "
            f"Give it a name of its own with `--source NAME`, or say `--source {name}` if it is the same one, moved."
        )
    return {**known, name: root}
