"""The document path, whole: load, compare, parse, validate, chunk, embed, index, publish."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from app.core import snapshot, vectors, words
from app.core.config import Settings
from app.core.embed import find_embedder
from app.core.text import NORMALISER
from ingest import records
from ingest.chunk import CHUNKER
from ingest.delta import Delta
from ingest.elsewhere import elsewhere
from ingest.embed import embedding
from ingest.engine import Name, engine
from ingest.gc import collect
from ingest.index import Estimating, Indexing
from ingest.origin import origin_of
from ingest.prepare import Preparing
from ingest.publish import previous, publish, without
from ingest.reading import Progress, Reading, kept
from ingest.report import Report
from ingest.rules import Rules
from ingest.writing import writing


def silent(step: str, amount: int, whole: int | None) -> None:
    """Tell nobody how far the work is."""


def build(
    *places: str | Path,
    collection: str,
    settings: Settings,
    source: str | None = None,
    exclude: Sequence[str] = (),
    sync: bool = False,
    accept_shrinkage: bool = False,
    only_refused: bool = False,
    dry_run: bool = False,
    works: Name = "local",
    progress: Progress = silent,
) -> Report:
    """Index files, folders and web pages into a collection and publish the result.

    What other sources put into the collection stays; a document that can't be read now but could before stays as it was; one
    that was erased stays away. Killed half-way, it leaves the collection as it was, and embeds nothing twice the next time.

    Args:
        places: Files, folders with everything below them, globs, or URLs of pages, sitemaps and remote storage.
        collection: Made when it does not exist.
        settings: Where indexes lie, which embedder, how long chunks are.
        source: First part of the documents' URIs; the folder's name when not given.
        exclude: Globs of file names, or of paths below the root.
        sync: Drop a source's documents that it holds no more.
        accept_shrinkage: Publish although a source lost half of what it held.
        only_refused: Read only what earlier runs refused.
        dry_run: Write nothing; report what would change, and how long it would take.
        works: Who parses and embeds: this process, or a Ray cluster.
        progress: Told how far the work is.

    Raises:
        Misconfigured: There is nothing at a place, another ingest is running, a source's name belongs to another place, it
            shrank by half, or the cluster can't be used.
        CollectionUnknown: The collection's name is none.
        LedgerUnavailable: The database, which knows what was erased, can't be reached.
        StorageUnavailable: The object storage, where there is one, can't be read or written.
    """
    started = time.perf_counter()
    root = settings.indexes_dir
    origins = [origin_of(str(place), source=source, whole=sync) for place in places]
    files, rules = find_embedder(settings.embedder), Rules(settings.ingest)
    built_with: dict[str, Any] = {
        "embedder": files.identity.as_json(),
        "chunker": {"name": CHUNKER, "pieces": settings.ingest.chunk_pieces},
        "normaliser": NORMALISER,
        "words": words.IDENTITY,
    }
    report = Report(collection, dry_run=dry_run)
    with (
        writing(settings, collection) as remote,
        records.opened(settings, collection) as books,
        Preparing(settings.ingest, files, rules) as preparing,
        engine(works, preparing, settings, files, rules) as work,
        embedding(files, cache_dir=settings.cache_dir, batch=settings.ingest.batch, elsewhere=work.embedders) as embed,
    ):
        held, erased = previous(root, collection), books.erased()
        copies = elsewhere(settings, collection, books, remote)
        delta, gone = Delta(held), set(erased)
        sources: dict[str, str] = dict(held.manifest["sources"]) if held else {}
        reading = Reading(collection, settings, work, report, delta, erased, rules, progress)
        make = Estimating if dry_run else Indexing
        indexing = make(root, collection, embed=embed, done=reading.embedded, first=work.first, block=work.block)
        for origin in origins:
            origin.check(sources, explicit=source is not None)
            sources[origin.name] = origin.root
            only = books.refused(origin.name) if only_refused else None
            for item in reading.documents(origin, exclude=exclude, only=only):
                indexing.add(item)
            reading.conclude(origin, sync=sync, accept_shrinkage=accept_shrinkage)
            if not dry_run:
                books.note(origin, reading)
        gone |= delta.rewritten | delta.deleted
        if held is not None and held.built_with != built_with:
            for document, text in kept(held, gone, built_with):  # chunks of another make can't stand beside new ones
                indexing.add(reading.counted(preparing.cut(document, text)))
                gone.add(document.document_id)
        entries = indexing.finish()
        report.added, report.changed = len(delta.added), len(delta.changed)
        report.unchanged, report.deleted = len(delta.unchanged), len(delta.deleted)
        report.embedded, report.estimate_s = embed.embedded, indexing.seconds
        segments = [snapshot.open_segment(snapshot.folder_of(root, collection), entry) for entry in entries]
        parts = [*without(held, gone), *((segment, np.ones(len(segment.documents), dtype=bool)) for segment in segments)]
        if (parts or held) and not dry_run:  # a source that lost everything leaves an empty snapshot, not the old one
            notes = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "sources": sources}
            known = held.segments if held else ()
            made, report.published = publish(
                root,
                collection,
                parts,
                built_with=built_with,
                notes=notes,
                known=known,
                embed=embed.plainly,
                copies=copies,
            )
            report.snapshot, report.chunks = made.snapshot_id, made.chunks
            for document_id in books.erased() - erased:  # deleted while this ran: it may have been embedded after that
                vectors.forget(settings.cache_dir, document_id)
            collect(root, collection, settings.retain, books, thorough=False, copies=copies)
        elif dry_run:
            report.snapshot, report.chunks = (held.snapshot_id if held else None), indexing.chunks
    report.seconds = time.perf_counter() - started
    return report
