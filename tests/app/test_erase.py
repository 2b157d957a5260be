"""Law 5: once `docs delete` has returned, no response holds the document, under any snapshot, in any worker, after any ingest."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import ingest.gc
from app.answer import answer
from app.core import snapshot
from app.core.config import Settings
from app.core.db import access
from app.core.db.engine import migrate, open_engine, open_ledger, transaction
from app.core.errors import NotFound
from app.core.types import LOCAL, Ask, Caller, document_id
from app.erase import erase, find
from app.wiring import Service, open_service, search
from evals.upstream import Upstream
from ingest.build import build
from ingest.gc import collect
from ingest.index_cli import rolled_back
from ingest.publish import exclusive
from ingest.records import opened as books_of
from tests.app.test_answer import body_of, price, rows
from tests.conftest import DOCUMENTS, QUESTION, make_settings, write_documents

GHOST = "corpus/retention.md"
SAYS = "365 days"


@pytest.fixture
def home(tmp_path: Path, cache_dir: Path) -> Settings:
    """Settings over an index of the small corpus that a test may change."""
    made = make_settings(tmp_path / "home", cache_dir)
    build(write_documents(tmp_path / "corpus"), collection="docs", settings=made)
    return made


def delete(settings: Settings, name: str = GHOST) -> dict[str, Any]:
    engine = open_ledger(settings)
    try:
        return erase(settings, engine, find(settings, name))
    finally:
        engine.dispose()


def restore(settings: Settings) -> None:
    engine = open_ledger(settings)
    with transaction(engine) as session:
        assert access.restore(session, "docs", document_id("docs", GHOST))
    engine.dispose()


def gc(settings: Settings) -> Any:
    with exclusive(settings.indexes_dir, "docs"), books_of(settings, "docs") as books:
        return collect(settings.indexes_dir, "docs", settings.retain, books)


def found(settings: Settings, question: str = QUESTION) -> set[str]:
    return {hit.chunk.document.uri for hit in search(settings, Ask(question), LOCAL, k=100)}


def haunted(settings: Settings) -> list[str]:
    """Return the files below the indexes that still hold words of the document."""
    return [
        str(path) for path in settings.indexes_dir.rglob("*") if path.is_file() and b"Other plans keep them" in path.read_bytes()
    ]


async def test_a_deleted_document_is_gone_from_a_running_service_at_the_next_request(home: Settings):
    async with open_service(home) as using:
        before = await body_of(using)
        assert before["citations"][0]["uri"] == GHOST

        receipt = delete(home)

        after = await body_of(using)
        serving = await using.live.serving(Ask("x"), LOCAL)
        stored, calls = rows(using, before["id"])
        assert GHOST not in json.dumps(after)
        assert SAYS not in json.dumps(after)
        assert document_id("docs", GHOST) not in serving.readable.ids(serving.retriever.snapshot)
    assert receipt["state"] == "masked"
    assert receipt["removed"]["answers"] == 1
    assert receipt["removed"]["cached_vectors"] > 0
    assert receipt["probe"] == {"snapshots": 1, "searches": 1, "hits": 0}
    content = stored.content
    assert (content.question, content.text, content.body, content.rendered, content.history) == ("", "", None, None, [])
    assert stored.answer.cost_nano == calls[0].cost_nano  # the books stay whole
    assert (stored.answer.status, stored.answer.prompt_tokens > 0) == ("answered", True)


async def test_an_ingest_a_rollback_or_a_new_worker_brings_nothing_back(home: Settings, tmp_path: Path):
    first = snapshot.current_id(home.indexes_dir, "docs")
    (tmp_path / "corpus/new.md").write_text("# New\n\nA new page about audit logs.\n")
    build(tmp_path / "corpus", collection="docs", settings=home)
    delete(home)

    assert GHOST not in found(home)
    again = build(tmp_path / "corpus", collection="docs", settings=home)
    assert [(r.source, r.code) for r in again.refused] == [("retention.md", "erased")]
    assert snapshot.open_current(home.indexes_dir, "docs").document(document_id("docs", GHOST)) is None
    (tmp_path / "corpus/retention.md").write_text("# Retention\n\nAnother text under the same uri.\n")
    assert [r.code for r in build(tmp_path / "corpus", collection="docs", settings=home).refused] == ["erased"]
    rolled_back(home, "docs", first)
    assert GHOST not in found(home)
    async with open_service(home) as fresh:
        assert GHOST not in json.dumps(await body_of(fresh))


def test_gc_takes_the_document_out_of_the_files_of_every_snapshot_and_ids_stay(home: Settings, tmp_path: Path):
    (tmp_path / "corpus/new.md").write_text("# New\n\nA new page.\n")
    build(tmp_path / "corpus", collection="docs", settings=home)
    before = snapshot.stored(home.indexes_dir, "docs")
    delete(home)
    assert haunted(home)

    done = gc(home)

    assert document_id("docs", GHOST) in done.erased
    assert haunted(home) == []
    assert snapshot.stored(home.indexes_dir, "docs") == before
    for identity in before:
        opened = snapshot.open_snapshot(home.indexes_dir, "docs", identity)
        assert list(snapshot.verify(opened)) == []
        assert list(opened.erased) == [document_id("docs", GHOST)]
    assert _receipt(home)["state"] == "removed"


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def _receipt(home: Settings) -> dict[str, Any]:
    engine = open_ledger(home)
    with transaction(engine) as session:
        (row,) = access.erasures(session, "docs")
    engine.dispose()
    return row.receipt


def test_gc_removes_what_a_killed_writer_left_half_written(home: Settings):
    base = home.indexes_dir / "docs"
    current = snapshot.current_id(home.indexes_dir, "docs")
    drafts = [base / ".CURRENT.1.tmp", base / f"snapshots/{current}/.manifest.json.1.tmp", base / "texts/.0.1.tmp"]
    for draft in drafts:
        draft.write_bytes(b"half")

    gc(home)

    assert [draft for draft in drafts if draft.exists()] == []
    assert list(snapshot.verify(snapshot.open_current(home.indexes_dir, "docs"))) == []


@pytest.mark.parametrize("step", ["_take_out", "_drop_texts"])
def test_a_receipt_says_removed_only_when_it_is_and_the_next_ingest_ends_what_a_killed_gc_began(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    delete(home)
    with monkeypatch.context() as killed:
        killed.setattr(ingest.gc, step, _killed)
        with pytest.raises(KeyboardInterrupt):
            gc(home)
    assert _receipt(home)["state"] == "masked"

    build(tmp_path / "corpus", collection="docs", settings=home)

    assert haunted(home) == []
    assert _receipt(home)["state"] == "removed"


def test_restored_text_is_back_at_once_or_with_the_next_ingest(home: Settings, tmp_path: Path):
    first = snapshot.current_id(home.indexes_dir, "docs")
    delete(home)
    assert GHOST not in found(home)
    restore(home)
    assert GHOST in found(home)

    delete(home)
    gc(home)
    restore(home)
    assert GHOST not in found(home)
    report = build(tmp_path / "corpus", collection="docs", settings=home)
    assert GHOST in found(home)
    assert report.snapshot == first  # the same content has the same id
    assert list(snapshot.verify(snapshot.open_current(home.indexes_dir, "docs"))) == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_deletion_while_the_model_writes_ends_the_answer_and_stores_nothing_of_it(
    home: Settings,
    provider: Upstream,
    stream: bool,
    database: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
):
    settings = home.model_copy(update=_model_settings(home, provider))
    if database == "postgresql":
        server = request.getfixturevalue("postgres_server")
        with server.database() as url:
            settings = settings.model_copy(update={"database_url": url})
            engine = open_engine(url)
            migrate(engine)
            engine.dispose()
            await _deleted_meanwhile(settings, stream)
    else:
        await _deleted_meanwhile(settings, stream)


def _model_settings(home: Settings, provider: Upstream) -> dict[str, Any]:
    from pydantic import SecretStr

    return {"model": "openai/fake", "model_base_url": provider.url("fine"), "model_api_key": SecretStr("sk-none")}


async def _deleted_meanwhile(settings: Settings, stream: bool) -> None:
    price(settings)
    async with open_service(settings) as using:
        events = []
        async for event in answer(Ask(QUESTION, stream=stream), caller=LOCAL, using=using.answering, request_id="r"):
            events.append(event)
            if event.type == "retrieval.completed":
                await asyncio.to_thread(delete, settings)
        stored, calls = rows(using, events[0].data["id"])

    assert events[-1].type == "answer.failed"
    assert (events[-1].data["problem"]["code"], events[-1].data["problem"]["status"]) == ("source_erased", 410)
    assert [event.type for event in events if event.type in ("answer.delta", "citation.added")] == []
    content = stored.content
    assert (stored.answer.status, stored.answer.code) == ("failed", "source_erased")
    assert (content.question, content.text, content.body, content.rendered) == ("", "", None, None)
    assert all(call.state in ("settled", "released") for call in calls)


async def test_a_deletion_between_two_sentences_stops_the_stream_there(home: Settings, provider: Upstream, cache_dir: Path):
    provider.replies["scripted"] = (
        "Audit logs are kept for 365 days [1]. Other plans keep them for 30 days [1]. And more of it [1]."
    )
    settings = home.model_copy(update={**_model_settings(home, provider), "model_base_url": provider.url("scripted")})
    price(settings)
    async with open_service(settings) as using:
        events, deltas = [], 0
        async for event in answer(Ask(QUESTION, stream=True), caller=LOCAL, using=using.answering, request_id="r"):
            events.append(event)
            if event.type == "answer.delta":
                deltas += 1
                await asyncio.to_thread(delete, settings)
        stored, calls = rows(using, events[0].data["id"])

    assert deltas == 1
    assert events[-1].data["problem"]["code"] == "source_erased"
    assert (stored.content.text, stored.content.rendered) == ("", None)
    assert calls[0].state == "settled"  # what the model was paid stays in the books
    assert calls[0].cost_nano > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_document_that_was_deleted_and_restored_while_the_model_wrote_ends_the_answer_too(
    home: Settings, provider: Upstream, stream: bool
):
    """The deletion blanked the answer's rows. Completed, they would hold a text that no later deletion looks for."""
    settings = home.model_copy(update=_model_settings(home, provider))
    price(settings)
    async with open_service(settings) as using:
        events = []
        async for event in answer(Ask(QUESTION, stream=stream), caller=LOCAL, using=using.answering, request_id="r"):
            events.append(event)
            if event.type == "answer.delta":
                await asyncio.to_thread(delete, settings)
                await asyncio.to_thread(restore, settings)
        stored, _ = rows(using, events[0].data["id"])

    assert events[-1].data["problem"]["code"] == "source_erased"
    content = stored.content
    assert (stored.answer.status, content.question, content.text, content.body) == ("failed", "", "", None)


def test_a_document_that_is_not_there_is_not_found(home: Settings):
    for name in ("doc_00000000000000000000", "corpus/nothing.md"):
        with pytest.raises(NotFound, match="docs list"):
            find(home, name)


async def test_access_lists_bind_once_they_are_required_and_change_at_the_next_request(home: Settings, tmp_path: Path):
    """Canary documents: each is for one principal alone, and says a word that must never reach another."""
    canaries = {name: f"The canary of {name} sings {word}." for name, word in (("ann", "xylophone"), ("bob", "zither"))}
    lines = [{"_id": name, "text": text, "acl": [name]} for name, text in canaries.items()]
    lines.append({"_id": "open", "text": "The canary of everyone sings loudly.", "acl": ["*"]})
    (tmp_path / "canaries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    build(tmp_path / "canaries.jsonl", collection="docs", settings=home)
    snapshot_before = snapshot.current_id(home.indexes_dir, "docs")
    people = {name: Caller("default", f"key_{name}", (name,), frozenset({"answer", "search"})) for name in (*canaries, "eve")}
    question = "What does the canary sing?"

    async def seen(using: Service, who: Caller) -> set[str]:
        serving = await using.live.serving(Ask(question), who)
        hits = await asyncio.to_thread(serving.retriever.search, question, k=100, within=serving.readable)
        asked = [e async for e in answer(Ask(question), caller=who, using=using.answering, request_id="r")]
        said = json.dumps([event.data for event in asked], default=str)
        for other, text in canaries.items():
            if f"canaries.jsonl#{other}" not in {hit.chunk.document.uri for hit in hits}:
                assert text.split()[-1] not in said
        return {hit.chunk.document.uri for hit in hits}

    async with open_service(home) as using:
        assert len(await seen(using, people["eve"])) == len(DOCUMENTS) + 3  # off: kept, not binding
        _require(home, True)
        assert await seen(using, people["ann"]) == {"canaries.jsonl#ann", "canaries.jsonl#open"}
        assert await seen(using, people["eve"]) == {"canaries.jsonl#open"}  # no list: nobody's
        assert len(await seen(using, LOCAL)) == len(DOCUMENTS) + 3
        _allow(home, "canaries.jsonl#bob", ["ann", "bob"])
        assert await seen(using, people["ann"]) == {"canaries.jsonl#ann", "canaries.jsonl#bob", "canaries.jsonl#open"}
        _allow(home, "canaries.jsonl#ann", None)
        assert await seen(using, people["ann"]) == {"canaries.jsonl#bob", "canaries.jsonl#open"}
        _require(home, False)
        assert len(await seen(using, people["eve"])) == len(DOCUMENTS) + 3
    assert snapshot.current_id(home.indexes_dir, "docs") == snapshot_before  # nothing was embedded or published anew
    lines[0]["acl"] = ["eve"]
    (tmp_path / "canaries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = build(tmp_path / "canaries.jsonl", collection="docs", settings=home)
    _require(home, True)
    async with open_service(home) as using:
        assert await seen(using, people["eve"]) == {"canaries.jsonl#ann", "canaries.jsonl#open"}
    assert (report.embedded, report.changed) == (0, 0)


def _require(settings: Settings, required: bool) -> None:
    with books_of(settings, "docs") as books:
        books.require(required)


def _allow(settings: Settings, uri: str, principals: list[str] | None) -> None:
    engine = open_ledger(settings)
    with transaction(engine) as session:
        access.set_readers(session, "docs", {document_id("docs", uri): principals})
    engine.dispose()
