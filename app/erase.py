"""Deleting a document: banned in the database at once, blanked in the answers that used it, dropped from the caches, then looked for.

What binds is the row: every search, under every snapshot and in every worker, reads its collection's epoch first. The files are
rewritten later (``citewell index gc``, or the next ingest), and the receipt then says ``removed`` instead of ``masked``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from app.core import snapshot, vectors
from app.core.config import Settings
from app.core.db import access, collections
from app.core.db.engine import open_ledger, transaction
from app.core.errors import CitewellError, IndexUnusable, NotFound
from app.core.snapshot import Snapshot
from app.core.types import LOCAL, document_id
from app.live import access_of
from app.retrieve import Access, Retriever

_PROBES = 20
"""Chunks of the document that are searched for, each with its own words and its own vector."""
_DEEP = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A document that a command names, and the stored snapshots that hold it."""

    collection: str
    document_id: str
    snapshots: tuple[Snapshot, ...]
    unreadable: tuple[str, ...]
    """Snapshots that could not be opened, so that nobody knows."""


def find(settings: Settings, name: str, collection: str | None = None) -> Found:
    """Return the document that an id or a uri names: in whatever snapshot is stored, else in what answers were shown.

    Raises:
        NotFound: Nothing stored holds it, or several collections hold one of that uri.
    """
    root = settings.indexes_dir
    held = []
    for one in [collection] if collection else snapshot.collections(root):
        identity = name if name.startswith("doc_") else document_id(one, name)
        opened, unreadable = _opened(root, one)
        having = tuple(made for made in opened if made.place(identity))
        if having:
            held.append(Found(one, identity, having, unreadable))
    if len(held) > 1:
        raise NotFound(f"Several collections have `{name}`: {', '.join(found.collection for found in held)}. Say `--collection`.")
    if not held and (cited := _cited(settings, name, collection)):
        return cited
    if not held:
        raise NotFound(f"There is no document `{name}`. `citewell docs list` shows ids and uris.")
    return held[0]


def erase(settings: Settings, engine: Engine, found: Found) -> dict[str, Any]:
    """Delete a document and return the receipt: what was removed from where, and what a search for it found afterwards.

    Raises:
        CitewellError: A search still found it; the ban stands, and this is a bug.
    """
    with transaction(engine) as session:
        collections.add(session, found.collection, tenant="default")
        row, blanked = access.erase(session, found.collection, found.document_id)
    probe = _probe(engine, found)
    before = row.receipt.get("removed", {})  # deleting it again adds to the receipt that stands
    receipt: dict[str, Any] = {
        "id": row.id,
        "collection": found.collection,
        "document_id": found.document_id,
        "erased_at": row.erased_at.isoformat(timespec="seconds"),
        "state": "masked",
        "snapshots": [made.snapshot_id for made in found.snapshots],
        "unreadable_snapshots": list(found.unreadable),
        "removed": {
            "answers": blanked.answers + before.get("answers", 0),
            "feedback": blanked.feedback + before.get("feedback", 0),
            "cached_vectors": vectors.forget(settings.cache_dir, found.document_id) + before.get("cached_vectors", 0),
        },
        "probe": probe,
    }
    with transaction(engine) as session:
        access.receipt(session, row.id, receipt)
    if probe["hits"]:
        raise CitewellError(f"`{found.document_id}` is deleted and was still found. Please report this, with receipt {row.id}.")
    return receipt


def _cited(settings: Settings, name: str, collection: str | None) -> Found | None:
    """Return a document that left its source, and whose text stored answers still quote."""
    engine = open_ledger(settings)
    try:
        with transaction(engine, reads=True) as session:
            for one in [collection] if collection else [row.name for row in collections.every(session)]:
                identity = name if name.startswith("doc_") else document_id(one, name)
                if access.was_shown(session, one, identity):
                    return Found(one, identity, (), ())
    finally:
        engine.dispose()
    return None


def _probe(engine: Engine, found: Found) -> dict[str, int]:
    """Search for the document by its own chunks, as a request that comes now would be served."""
    with transaction(engine, reads=True) as session:
        standing = access.standing(session, found.collection)
        now = access_of(session, found.collection, standing) if standing else Access()
    asked = hits = 0
    for made in found.snapshots:
        place = made.place(found.document_id)
        if place is None:
            continue
        segment = made.segments[place.segment]
        retriever = Retriever(made, _unembedded, made.manifest["embedder"])
        within = retriever.readable(now, LOCAL, {})
        first, last = segment.rows_of(place.line)
        for row in range(first, min(last, first + _PROBES)):
            text, vector = made.chunk(segment, row).text, segment.index.reconstruct(row)
            asked += 1
            hits += sum(
                hit.chunk.document.document_id == found.document_id
                for hit in retriever.find(text, vector, k=_DEEP, within=within)
            )
    return {"snapshots": len(found.snapshots), "searches": asked, "hits": hits}


def _unembedded(_: Sequence[str]) -> Any:
    raise NotImplementedError("a probe searches by vectors that it has")


def _opened(root: Path, collection: str) -> tuple[list[Snapshot], tuple[str, ...]]:
    opened: list[Snapshot] = []
    unreadable = []
    for identity in snapshot.stored(root, collection):
        try:
            known = [segment for made in opened for segment in made.segments]
            opened.append(snapshot.open_snapshot(root, collection, identity, reuse=known))
        except IndexUnusable:
            unreadable.append(identity)
    return opened, tuple(unreadable)
