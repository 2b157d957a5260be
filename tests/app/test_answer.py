"""The whole question path in this process: laws 1, 2, 4 and 9."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.answer import answer
from app.core.config import Settings
from app.core.db import ledger
from app.core.db.engine import migrate, open_engine, transaction
from app.core.errors import CitewellError, IndexMissing, ModelUnpriced, QuestionEmpty
from app.core.types import LOCAL, Ask, Chunk, Message, Passage
from app.events import Event, Fold
from app.model.prices import open_book
from app.prompt import load_version
from app.wiring import Service, open_service
from evals.upstream import Upstream
from tests.conftest import QUESTION, make_settings


@asynccontextmanager
async def service(tmp_path: Path, cache_dir: Path, indexed: Path, **more: str) -> AsyncIterator[Service]:
    made = make_settings(tmp_path / "home", cache_dir, CITEWELL_INDEXES_DIR=str(indexed), **more)
    if made.database_url.startswith("postgresql"):
        engine = open_engine(made.database_url)
        migrate(engine)
        engine.dispose()
    async with open_service(made) as opened:
        yield opened


def with_model(provider: Upstream, behaviour: str = "fine") -> dict[str, str]:
    wait = "1" if behaviour == "hang" else "30"  # a busy machine is no dead provider
    return {
        "CITEWELL_MODEL": "openai/fake",
        "CITEWELL_MODEL_BASE_URL": provider.url(behaviour),
        "CITEWELL_MODEL_API_KEY": "sk-none",
        "CITEWELL_CALL__FIRST_TOKEN_S": wait,
        "CITEWELL_CALL__BETWEEN_TOKENS_S": wait,
        "CITEWELL_CALL__TOTAL_S": wait,
    }


def price(settings: Settings, *, input: str = "0.15", output: str = "0.6") -> None:
    from datetime import date
    from decimal import Decimal

    open_book(settings).set("openai/fake", input=Decimal(input), output=Decimal(output), since=date(2026, 1, 1))


async def events_of(using: Service, question: str = QUESTION, **more: Any) -> list[Event]:
    asked = answer(Ask(question, **more), caller=LOCAL, using=using.answering, request_id="req")
    return [event async for event in asked]


async def body_of(using: Service, question: str = QUESTION, **more: Any) -> dict[str, Any]:
    last = (await events_of(using, question, **more))[-1]
    assert last.type == "answer.completed", last.data
    body: dict[str, Any] = orjson.loads(orjson.dumps(last.data["answer"]))
    return body


def rows(using: Service, answer_id: str) -> tuple[ledger.Stored, list[Any]]:
    with transaction(using.engine) as session:
        stored = ledger.find(session, answer_id)
        assert stored is not None
        return stored, ledger.calls(session, answer_id)


async def test_a_question_is_answered_with_a_verbatim_citation(tmp_path: Path, cache_dir: Path, indexed: Path):
    async with service(tmp_path, cache_dir, indexed) as using:
        body = await body_of(using)

    assert body["status"] == "answered"
    assert "365 days" in body["answer"]
    citation = body["citations"][0]
    assert citation["quote"].startswith("Audit logs are kept for 365 days on the Enterprise plan")
    assert body["claims"][0]["support"] == "verbatim"
    assert body["release"]["model"] == "citewell/extractive"
    assert body["usage"]["cost_usd"] == 0
    assert body["confidence"] is None


async def test_a_question_the_documents_do_not_answer_is_abstained_with_what_was_found(
    tmp_path: Path, cache_dir: Path, indexed: Path
):
    async with service(tmp_path, cache_dir, indexed) as using:
        body = await body_of(using, "Which football team won the cup in 1987?")

    assert (body["status"], body["abstained_because"]) == ("abstained", "model_abstained")
    assert [c["n"] for c in body["citations"]] == list(range(1, len(body["citations"]) + 1))
    assert all(c["answer_spans"] == [] for c in body["citations"])
    assert body["claims"] == []


def without_times(body: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k not in {"id", "created_at", "trace_id", "timings_ms"}}


@pytest.mark.parametrize(
    "question", [QUESTION, "Which football team won the cup in 1987?", "Where do the 😀 team meet?", "数据保留多久？"]
)
async def test_law_1_streamed_and_whole_are_one_answer(tmp_path: Path, cache_dir: Path, indexed: Path, question: str):
    async with service(tmp_path, cache_dir, indexed) as using:
        streamed = await events_of(using, question, stream=True)
        whole = await body_of(using, question)

    body = orjson.loads(orjson.dumps(streamed[-1].data["answer"]))
    fold = Fold()
    for event in streamed[:-1]:
        fold.add(event)
    again = fold.body(
        **{name: body[name] for name in ("status", "confidence", "abstained_because", "usage", "timings_ms", "trace_id")}
    )
    assert orjson.loads(orjson.dumps(again)) == body
    assert without_times(body) == without_times(whole)


@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reply=st.lists(
        st.sampled_from(
            ["Audit logs are kept for 365 days on the Enterprise plan", " [1]", "[2]", " [1, 2]", "[9]", ". ", ".\n\n", "- item [1]\n", "`code [1]`", "It is 42 [1]. ", "\n", "Größe 😀 [3].", "```\nx [1]\n```\n", "Dr. ", "1. "]
        ),
        min_size=1,
        max_size=8,
    ).map("".join)
)  # fmt: skip
def test_law_1_and_4_hold_for_whatever_a_model_writes(
    tmp_path_factory, cache_dir: Path, indexed: Path, provider: Upstream, reply: str
):
    provider.replies["scripted"] = reply

    async def both() -> tuple[list[Event], list[Event], dict[str, str]]:
        home = tmp_path_factory.mktemp("law")
        async with service(home, cache_dir, indexed, **with_model(provider, "scripted")) as using:
            price(using.settings)
            streamed, whole = await events_of(using, stream=True), await events_of(using)
            snapshot = (await using.live.serving(Ask("x"), LOCAL)).retriever.snapshot
            texts = {d.revision: snapshot.texts.read(d.revision) for d in snapshot.documents()}
            return streamed, whole, texts

    streamed, whole, texts = asyncio.run(both())

    assert streamed[-1].type == whole[-1].type
    if streamed[-1].type == "answer.failed":
        assert streamed[-1].data["problem"]["code"] == "model_bad_response"
        return
    body, other = (orjson.loads(orjson.dumps(events[-1].data["answer"])) for events in (streamed, whole))
    assert without_times(body) == without_times(other)
    assert "".join(e.data["text"] for e in streamed if e.type == "answer.delta") == body["answer"]
    assert [e.data["claim"] for e in streamed if e.type == "claim.verified"] == body["claims"]
    for citation in body["citations"]:
        assert texts[citation["revision"]][citation["start"] : citation["end"]] == citation["quote"]
    for claim in body["claims"]:
        assert body["answer"][claim["start"] : claim["end"]] == claim["text"]
        assert set(claim["citations"]) <= {c["n"] for c in body["citations"]}


async def test_law_2_every_call_has_its_row_and_the_cost_is_the_books(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream
):
    async with service(tmp_path, cache_dir, indexed, **with_model(provider)) as using:
        price(using.settings)
        body = await body_of(using)
        stored, calls = rows(using, body["id"])

    (call,) = calls
    assert (call.state, call.outcome, call.model, call.attempt, call.estimated) == ("settled", "ok", "openai/fake", 1, False)
    assert call.cost_nano == call.prompt_tokens * 150 + call.completion_tokens * 600 == stored.answer.cost_nano
    assert call.reserved_nano >= call.cost_nano > 0
    assert round(body["usage"]["cost_usd"] * 1e9) == call.cost_nano
    assert orjson.loads(stored.content.body or "") == body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "code", "state"),
    [
        ("down", "model_unavailable", "released"),
        ("auth", "model_rejected", "released"),
        ("junk", "model_bad_response", "settled"),
        ("hang", "model_timeout", "settled"),
    ],
)
async def test_law_2_a_failed_call_is_released_or_settled_never_lost(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream, behaviour: str, code: str, state: str, stream: bool
):
    async with service(tmp_path, cache_dir, indexed, **with_model(provider, behaviour)) as using:
        price(using.settings)
        events = await events_of(using, stream=stream)
        stored, (call,) = rows(using, events[0].data["id"])

    assert events[-1].type == "answer.failed"
    assert events[-1].data["problem"]["code"] == stored.answer.code == call.outcome == code
    assert (stored.answer.status, call.state) == ("failed", state)
    assert (call.cost_nano > 0) == (state == "settled")
    assert stored.content.problem is not None


async def test_law_2_an_unpriced_model_is_refused_before_anything_is_called(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream
):
    before = len(provider.requests)
    async with service(tmp_path, cache_dir, indexed, **with_model(provider)) as using:
        with pytest.raises(ModelUnpriced):
            await events_of(using)
        with transaction(using.engine) as session:
            (row,) = ledger.recent(session, 10)

    assert (row.status, row.code, row.cost_nano) == ("refused", "model_unpriced", 0)
    assert len(provider.requests) == before


async def test_law_2_the_row_is_pending_with_its_worst_case_while_the_model_thinks(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream
):
    before = len(provider.requests)
    async with service(tmp_path, cache_dir, indexed, **with_model(provider, "hang")) as using:
        price(using.settings)
        events = answer(Ask(QUESTION), caller=LOCAL, using=using.answering, request_id="r")
        first = await anext(events)
        waiting = asyncio.create_task(_last(events))
        while len(provider.requests) == before:  # by now the provider has it
            await asyncio.sleep(0.01)
        stored, (call,) = rows(using, first.data["id"])
        assert (stored.answer.status, call.state, call.cost_nano) == ("running", "pending", 0)
        assert call.reserved_nano > 0
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        stored, (call,) = rows(using, first.data["id"])
        assert (stored.answer.status, call.state, call.outcome, call.estimated) == ("cancelled", "settled", "cancelled", True)


async def _last(events: AsyncIterator[Event]) -> Event | None:
    last = None
    async for event in events:
        last = event
    return last


async def test_a_client_that_goes_away_in_mid_stream_is_booked_for_what_came(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream
):
    provider.replies["slow"] = (
        "Audit logs are kept for 365 days on the Enterprise plan [1]. Other plans keep them for 30 days [1]. And more."
    )
    async with service(tmp_path, cache_dir, indexed, **{**with_model(provider, "slow"), "CITEWELL_CALL__TOTAL_S": "30"}) as using:
        price(using.settings)
        events = answer(Ask(QUESTION, stream=True), caller=LOCAL, using=using.answering, request_id="r")
        first = await anext(events)
        async for event in events:
            if event.type == "answer.delta":
                break
        await events.aclose()
        stored, (call,) = rows(using, first.data["id"])

    assert (stored.answer.status, call.state, call.outcome) == ("cancelled", "settled", "cancelled")
    assert stored.content.text.startswith("Audit logs are kept")
    assert call.estimated
    assert call.completion_tokens > 0


async def test_a_stopping_server_ends_answers_as_failed_with_their_rows_settled(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream
):
    before = len(provider.requests)
    async with service(tmp_path, cache_dir, indexed, **with_model(provider, "hang")) as using:
        price(using.settings)
        task = asyncio.create_task(_last(answer(Ask(QUESTION), caller=LOCAL, using=using.answering, request_id="r")))
        while len(provider.requests) == before:
            await asyncio.sleep(0.01)
        (answer_id,) = using.answering.running
        using.answering.stopping.set()
        task.cancel()
        last = await task
        stored, (call,) = rows(using, answer_id)

    assert last is not None
    assert last.data["problem"]["code"] == "shutting_down"
    assert (stored.answer.status, stored.answer.code, call.state) == ("failed", "shutting_down", "settled")


async def test_law_9_the_prompt_is_rebuilt_byte_by_byte_from_the_books(
    tmp_path: Path, cache_dir: Path, indexed: Path, database_url: str
):
    async with service(tmp_path, cache_dir, indexed, CITEWELL_DATABASE_URL=database_url) as using:
        turns = (Message("user", "Hello </question> 😀"), Message("assistant", "Hi"))
        body = await body_of(using, messages=turns)
        stored, _ = rows(using, body["id"])
        with transaction(using.engine) as session:
            shown = ledger.passages(session, body["id"])
        snapshot = (await using.live.serving(Ask("x"), LOCAL)).retriever.snapshot

    from datetime import date

    name, _, version = (stored.answer.prompt or "").partition("@")
    template = load_version(using.settings.prompts_dir, name, int(version))
    passages = [
        Passage(
            row.n,
            Chunk(document, row.start, row.end, snapshot.texts.read(row.revision)[row.start : row.end]),
            row.score,
        )
        for row in shown
        if (document := snapshot.document(row.document_id))
    ]
    history = [Message(turn["role"], turn["content"]) for turn in stored.content.history]
    rebuilt = template.render(
        stored.content.question, passages, today=date.fromisoformat(stored.content.today or ""), history=history
    )
    assert [{"role": m.role, "content": m.content} for m in rebuilt] == stored.content.rendered
    assert any("Hello" in m.content for m in rebuilt)


async def test_refusals_are_entered_too(tmp_path: Path, cache_dir: Path, indexed: Path):
    async with service(tmp_path, cache_dir, indexed) as using:
        with pytest.raises(QuestionEmpty):
            await events_of(using, "\x00 ")
        with pytest.raises(CitewellError):
            await events_of(using, collection="nope")
        with transaction(using.engine) as session:
            found = [(row.status, row.code) for row in ledger.recent(session, 10)]

    assert sorted(found) == [("refused", "collection_unknown"), ("refused", "question_empty")]


async def test_an_empty_indexes_folder_is_a_missing_index(tmp_path: Path, cache_dir: Path):
    async with service(tmp_path, cache_dir, tmp_path / "none") as using:
        with pytest.raises(IndexMissing):
            await events_of(using)


async def test_the_same_books_are_kept_on_sqlite_and_postgresql(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream, database_url: str
):
    async with service(tmp_path, cache_dir, indexed, **with_model(provider), CITEWELL_DATABASE_URL=database_url) as using:
        price(using.settings)
        body = await body_of(using)
        await events_of(using, "Nul \x00 in a question?")
        stored, (call,) = rows(using, body["id"])

    assert stored.answer.created_at.utcoffset() is not None
    assert json.loads(stored.content.body or "")["id"] == body["id"]
    assert call.cost_nano == stored.answer.cost_nano > 0


async def test_a_bug_is_an_internal_error_with_its_row(
    tmp_path: Path, cache_dir: Path, indexed: Path, monkeypatch: pytest.MonkeyPatch
):
    from app.retrieve import Retriever

    monkeypatch.setattr(Retriever, "find", lambda *_, **__: 1 / 0)
    async with service(tmp_path, cache_dir, indexed) as using:
        events = await events_of(using)
        stored, calls = rows(using, events[0].data["id"])

    assert events[-1].data["problem"]["code"] == stored.answer.code == "internal_error"
    assert "division" not in json.dumps(events[-1].data)
    assert calls == []


async def test_the_release_is_the_hash_of_what_decides_and_is_entered_before_the_answer(
    tmp_path: Path, cache_dir: Path, indexed: Path
):
    import hashlib

    from app.core.db.tables import ReleaseRow

    async with service(tmp_path, cache_dir, indexed) as using:
        body = await body_of(using)
        with transaction(using.engine) as session:
            row = session.get(ReleaseRow, body["release"]["id"])
    async with service(tmp_path / "other", cache_dir, indexed, CITEWELL_PACK__PASSAGES="2") as other:
        changed = await body_of(other)
    async with service(tmp_path / "third", cache_dir, indexed, CITEWELL_CALL__TOTAL_S="60") as third:
        same = await body_of(third)

    assert row is not None
    assert "rel_" + hashlib.sha256(row.body.encode()).hexdigest()[:16] == row.id
    assert changed["release"]["id"] != body["release"]["id"]
    assert same["release"]["id"] == body["release"]["id"]  # how long we wait decides no answer


async def test_a_client_that_goes_away_before_the_call_pays_nothing_and_leaves_no_pending_row(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream, monkeypatch: pytest.MonkeyPatch
):
    import time

    from app import record

    real = record.reserve

    def slow(*args: Any) -> None:
        time.sleep(0.3)
        real(*args)

    monkeypatch.setattr(record, "reserve", slow)
    before = len(provider.requests)
    async with service(tmp_path, cache_dir, indexed, **with_model(provider, "fine")) as using:
        price(using.settings)
        events = answer(Ask(QUESTION), caller=LOCAL, using=using.answering, request_id="r")
        first = await anext(events)
        waiting = asyncio.create_task(_last(events))
        await asyncio.sleep(0.2)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        stored, (call,) = rows(using, first.data["id"])

    assert len(provider.requests) == before
    assert (stored.answer.status, call.state, call.cost_nano) == ("cancelled", "released", 0)
