"""Passages, documents, collections: what is indexed, as the caller may read it."""

from asyncio import to_thread
from bisect import bisect_right
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Engine

from app.answer import Loaded, Serving
from app.api.auth import ReadsDocuments, Searches
from app.api.errors import documents
from app.api.schemas import (
    CollectionBody,
    CollectionsBody,
    DocumentBody,
    DocumentRow,
    DocumentsBody,
    HeadingBody,
    HitBody,
    SearchBody,
    SearchRequest,
)
from app.core.db import ledger
from app.core.db.engine import transaction
from app.core.errors import (
    BodyTooLarge,
    CollectionUnknown,
    FilterUnknown,
    IndexMissing,
    IndexUnusable,
    InvalidRequest,
    MalformedBody,
    NotFound,
    QuestionEmpty,
    QuestionTooLong,
    ShuttingDown,
    UnsupportedMediaType,
)
from app.core.types import Ask, Document
from app.events import place
from app.guard import admit
from app.live import Live
from app.wiring import Service

router = APIRouter(tags=["documents"])

_INDEX = (CollectionUnknown, IndexMissing, IndexUnusable)
_BODY = (MalformedBody, BodyTooLarge, UnsupportedMediaType, InvalidRequest, QuestionEmpty, QuestionTooLong, FilterUnknown)
_MOST_LISTED = 10_000


@router.post("/v1/search", response_model=SearchBody, responses=documents(*_BODY, *_INDEX, ShuttingDown), summary="Find passages")
async def search(body: SearchRequest, request: Request, caller: Searches) -> SearchBody:
    """Return the k best passages that the caller may read, best first."""
    service: Service = request.app.state.service
    wanted = Ask(body.query, body.collection, filters=body.filters or {})
    asked, _ = admit(wanted, service.settings.limits, service.answering.count)
    serving = await service.live.serving(asked, caller)
    hits = await to_thread(serving.retriever.search, asked.question, k=body.k, within=serving.readable)
    return SearchBody(
        hits=[
            HitBody(
                **place(hit.chunk),
                page=hit.chunk.page,
                start=hit.chunk.start,
                end=hit.chunk.end,
                text=hit.chunk.text,
                score=hit.score,
            )
            for hit in hits
        ]
    )


@router.get("/v1/documents", response_model=DocumentsBody, responses=documents(InvalidRequest, *_INDEX), summary="List documents")
async def listing(
    request: Request,
    caller: ReadsDocuments,
    collection: str = "docs",
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 100,
    cursor: Annotated[str, Query(max_length=100)] = "",
) -> DocumentsBody:
    """List a collection's documents by id; pass ``next`` back as ``cursor`` for the following page."""
    serving = await request.app.state.service.live.serving(Ask("", collection), caller)
    held = serving.retriever.snapshot
    ids = await to_thread(serving.readable.ids, held)
    after = bisect_right(ids, cursor)
    page = [document for document_id in ids[after : after + limit] if (document := held.document(document_id))]
    rows = [DocumentRow(document_id=d.document_id, uri=d.uri, title=d.title, revision=d.revision) for d in page]
    return DocumentsBody(documents=rows, next=page[-1].document_id if len(ids) > after + limit else None)


@router.get("/v1/documents/{document_id}", response_model=DocumentBody, responses=documents(NotFound), summary="Show a document")
async def show(
    document_id: str, request: Request, caller: ReadsDocuments, revision: Annotated[str | None, Query(max_length=64)] = None
) -> DocumentBody:
    """Show a document's text, in which citations count their offsets; an earlier revision while it is stored."""
    live: Live = request.app.state.service.live
    for collection in await to_thread(live.visible, caller):
        try:
            serving = await live.serving(Ask("", collection), caller)
        except (IndexMissing, IndexUnusable, CollectionUnknown):
            continue  # another collection's trouble does not hide this document
        document = serving.readable.document(serving.retriever.snapshot, document_id)
        if document is not None:
            return await to_thread(
                _document, request.app.state.service.engine, serving, collection, document, revision or document.revision
            )
    raise NotFound("There is no such document, or it is not yours to read.")


@router.get("/v1/collections", response_model=CollectionsBody, responses=documents(), summary="List collections")
async def collections(request: Request, caller: ReadsDocuments) -> CollectionsBody:
    """List the collections that the caller may use."""
    live: Live = request.app.state.service.live
    loaded = live.loaded()
    return CollectionsBody(collections=[_collection(name, loaded.get(name)) for name in await to_thread(live.visible, caller)])


def _document(engine: Engine, serving: Serving, collection: str, document: Document, revision: str) -> DocumentBody:
    if revision != document.revision:  # any text of the collection lies there: only what this document was cited by is its own
        with transaction(engine, reads=True) as session:
            if not ledger.cited_at(session, document.document_id, revision):
                raise NotFound("This document has no such revision, or no stored answer cites it.")
    current = revision == document.revision
    text = serving.retriever.snapshot.texts.read(revision)
    return DocumentBody(
        document_id=document.document_id,
        collection=collection,
        uri=document.uri,
        title=document.title,
        revision=revision,
        metadata=document.metadata,
        text=text,
        headings=[HeadingBody(start=heading.start, level=heading.level) for heading in document.headings if current],
        pages=list(document.pages) if current else [],
    )


def _collection(name: str, loaded: Loaded | None) -> CollectionBody:
    if loaded is None:
        return CollectionBody(name=name, snapshot=None, documents=None, chunks=None)
    opened = loaded.retriever.snapshot
    return CollectionBody(name=name, snapshot=opened.snapshot_id, documents=opened.size, chunks=opened.chunks)
