"""Over real HTTP: the JSON and the streamed route, feedback, what is shown of an answer and to whom."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.config import Settings
from app.core.db import keys, ledger
from app.core.db.engine import open_ledger, transaction
from app.model.prices import open_book
from evals.upstream import Upstream
from tests.conftest import QUESTION, make_settings
from tests.serving import events_of, in_thread, stream

ASK = "/v1/answers"


def served(tmp_path: Path, cache_dir: Path, indexed: Path, **more: str) -> Settings:
    return make_settings(tmp_path / "home", cache_dir, CITEWELL_INDEXES_DIR=str(indexed), **more)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, indexed: Path) -> Iterator[httpx.Client]:
    with in_thread(served(tmp_path_factory.mktemp("api"), cache_dir, indexed)) as client:
        yield client


def with_provider(tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream, behaviour: str, **more: str) -> Settings:
    from datetime import date
    from decimal import Decimal

    made = served(
        tmp_path, cache_dir, indexed,
        **{
            "CITEWELL_MODEL": "openai/fake", "CITEWELL_MODEL_BASE_URL": provider.url(behaviour), "CITEWELL_MODEL_API_KEY": "sk-none",
            "CITEWELL_CALL__TOTAL_S": "20", **more,
        },
    )  # fmt: skip
    open_book(made).set("openai/fake", input=Decimal(1), output=Decimal(2), since=date(2026, 1, 1))
    return made


def test_an_answer_is_sent_stored_and_shown_again_byte_for_byte(client: httpx.Client):
    sent = client.post(ASK, json={"question": QUESTION, "user": "u_1"})
    again = client.get(f"{ASK}/{sent.json()['id']}")

    assert sent.status_code == again.status_code == 200
    assert sent.content == again.content
    assert "365 days" in sent.json()["answer"]


def test_law_1_over_http(client: httpx.Client):
    events = stream(client, question=QUESTION)
    body = client.post(ASK, json={"question": QUESTION}).json()

    assert [e["seq"] for e in events] == list(range(len(events)))
    kinds = [e["type"] for e in events]
    assert (kinds[0], kinds[1], kinds[-1]) == ("answer.created", "retrieval.completed", "answer.completed")
    assert kinds.index("citation.added") < kinds.index("answer.delta") < kinds.index("claim.verified")
    whole = events[-1]["answer"]
    assert client.get(f"{ASK}/{whole['id']}").json() == whole
    varying = {"id", "created_at", "trace_id", "timings_ms"}
    assert {k: v for k, v in whole.items() if k not in varying} == {k: v for k, v in body.items() if k not in varying}
    assert events[1]["passages"][0]["uri"] == "corpus/retention.md"


def test_citations_resolve_in_the_document_they_name(client: httpx.Client):
    for question in (QUESTION, "When does the 😀 team meet?"):
        for citation in client.post(ASK, json={"question": question}).json()["citations"]:
            document = client.get(f"/v1/documents/{citation['document_id']}", params={"revision": citation["revision"]}).json()
            assert document["text"][citation["start"] : citation["end"]] == citation["quote"]
            assert (document["uri"], document["title"]) == (citation["uri"], citation["title"])


def test_feedback_is_stored_with_its_answer(client: httpx.Client):
    answer_id = client.post(ASK, json={"question": QUESTION}).json()["id"]

    sent = client.post(
        f"{ASK}/{answer_id}/feedback", json={"rating": "down", "comment": "no \x00 date", "correct_answer": "a year"}
    )

    assert sent.status_code == 201
    engine = open_ledger(client.app.state.settings)  # type: ignore[attr-defined]
    with transaction(engine) as session:
        (row,) = ledger.feedback_on(session, answer_id)
    engine.dispose()
    assert (row.rating, row.comment, row.correct_answer) == ("down", "no  date", "a year")


def test_a_question_that_leans_on_an_earlier_one_is_searched_with_it(client: httpx.Client):
    turns = [{"role": "user", "content": "Which port does the gateway listen on?"}, {"role": "assistant", "content": "8443."}]

    body = client.post(ASK, json={"question": "And metrics?", "messages": turns}).json()
    alone = client.post("/v1/search", json={"query": "And?", "k": 1}).json()["hits"][0]

    assert body["citations"][0]["uri"].endswith("ports.md")
    assert body["warnings"] == []
    assert not alone["uri"].endswith("ports.md")


def test_max_citations_drops_markers_and_never_changes_what_the_model_reads(client: httpx.Client):
    one = client.post(ASK, json={"question": QUESTION, "max_citations": 1}).json()
    five = client.post(ASK, json={"question": QUESTION}).json()

    assert len(one["citations"]) <= 1
    assert one["usage"]["prompt_tokens"] == five["usage"]["prompt_tokens"]


def test_a_failed_answer_is_a_problem_and_can_be_looked_at(tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream):
    with in_thread(with_provider(tmp_path, cache_dir, indexed, provider, "down")) as client:
        response = client.post(ASK, json={"question": QUESTION})
        events = stream(client, question=QUESTION)
        answer_id = events[0]["id"]
        shown = client.get(f"{ASK}/{answer_id}").json()

    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert response.headers["retry-after"] == "2"
    assert response.json()["code"] == events[-1]["problem"]["code"] == shown["problem"]["code"] == "model_unavailable"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert (shown["status"], shown["answer"]) == ("failed", "")


SLOW = "Audit logs are kept for 365 days on the Enterprise plan [1]. " + "Other plans keep them for 30 days [1]. " * 20


def test_a_client_that_leaves_a_stream_cancels_the_call_and_it_is_booked(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream
):
    provider.replies["slow"] = SLOW
    before = provider.disconnected
    with in_thread(with_provider(tmp_path, cache_dir, indexed, provider, "slow")) as client:
        with client.stream("POST", ASK, json={"question": QUESTION, "stream": True}) as response:
            pieces = response.iter_text()  # held, since one that is collected closes the connection
            text = next(pieces)
            while "answer.delta" not in text:
                text += next(pieces)
            answer_id = events_of(text.rpartition("\n\n")[0])[0]["id"]
            running = client.get(f"{ASK}/{answer_id}").json()
        stored = _ended(client, answer_id)

    assert running["status"] == "running"
    assert running["answer"].startswith("Audit logs")
    assert stored["status"] == "cancelled"
    assert stored["answer"].startswith("Audit logs are kept")
    assert stored["cost_usd"] > 0
    assert provider.disconnected > before


def test_a_client_that_leaves_a_json_answer_cancels_the_call_too(
    tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream
):
    with in_thread(with_provider(tmp_path, cache_dir, indexed, provider, "hang")) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(ASK, json={"question": QUESTION}, timeout=1.5)
        engine = open_ledger(client.app.state.settings)  # type: ignore[attr-defined]
        for _ in range(100):
            with transaction(engine) as session:
                (row,) = ledger.recent(session, 1)
                (call,) = ledger.calls(session, row.id)
            if row.status != "running":
                break
            time.sleep(0.05)
        engine.dispose()

    assert (row.status, call.state, call.outcome) == ("cancelled", "settled", "cancelled")


def _ended(client: httpx.Client, answer_id: str) -> dict[str, Any]:
    for _ in range(100):
        shown: dict[str, Any] = client.get(f"{ASK}/{answer_id}").json()
        if shown["status"] != "running":
            return shown
        time.sleep(0.05)
    raise AssertionError("the answer is still running")


def test_more_requests_than_the_limit_are_turned_away_at_once(tmp_path: Path, cache_dir: Path, indexed: Path, provider: Upstream):
    provider.replies["slow"] = "Audit logs are kept for 365 days on the Enterprise plan [1]."
    made = with_provider(tmp_path, cache_dir, indexed, provider, "slow", CITEWELL_LIMITS__CONCURRENCY="2")
    found: list[tuple[int, float]] = []
    with in_thread(made) as client:

        def ask() -> None:
            began = time.perf_counter()
            response = httpx.post(client.base_url.join(ASK), json={"question": QUESTION}, timeout=30)
            found.append((response.status_code, time.perf_counter() - began))
            if response.status_code == 503:
                assert response.json()["code"] == "overloaded"
                assert response.headers["retry-after"] == "2"

        busy = [threading.Thread(target=ask) for _ in range(2)]
        for thread in busy:
            thread.start()
        time.sleep(0.7)
        for _ in range(3):
            ask()
        for thread in busy:
            thread.join()
        after = client.post(ASK, json={"question": QUESTION}).status_code

    assert sorted(status for status, _ in found) == [200, 200, 503, 503, 503]
    assert all(seconds < 1 for status, seconds in found if status == 503)
    assert after == 200


def test_what_a_key_asked_is_shown_to_that_key_and_to_administrators_of_its_tenant(
    tmp_path: Path, cache_dir: Path, indexed: Path
):
    made = served(tmp_path, cache_dir, indexed)
    engine = open_ledger(made)
    with transaction(engine) as session:
        asker, other = (keys.create(session, tenant="a", scopes=["answer", "feedback"])[1] for _ in range(2))
        admin, foreign = (keys.create(session, tenant=tenant, scopes=["admin"])[1] for tenant in ("a", "b"))
    engine.dispose()

    def bearer(key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    with in_thread(made) as client:
        answer_id = client.post(ASK, json={"question": QUESTION}, headers=bearer(asker)).json()["id"]
        seen = [client.get(f"{ASK}/{answer_id}", headers=bearer(key)).status_code for key in (asker, admin, other, foreign)]
        rated = [
            client.post(f"{ASK}/{answer_id}/feedback", json={"rating": "up"}, headers=bearer(key)).status_code
            for key in (asker, other)
        ]

    assert seen == [200, 200, 404, 404]
    assert rated == [201, 404]


def test_a_new_snapshot_and_a_moved_label_are_taken_up_within_two_seconds(tmp_path: Path, cache_dir: Path):
    import hashlib
    import shutil

    from app.core.config import CHECKOUT
    from ingest.build import build

    assert CHECKOUT is not None
    shutil.copytree(CHECKOUT / "prompts", tmp_path / "prompts")
    made = make_settings(tmp_path / "home", cache_dir, CITEWELL_PROMPTS_DIR=str(tmp_path / "prompts"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# Lunch\n\nLunch is served at noon.\n")
    build(tmp_path / "docs", collection="docs", settings=made)
    with in_thread(made) as client:
        first = client.post(ASK, json={"question": "When is lunch served?"}).json()
        (tmp_path / "docs/a.md").write_text("# Lunch\n\nLunch is served at one o'clock.\n")
        build(tmp_path / "docs", collection="docs", settings=made)
        published = time.monotonic()
        while (second := client.post(ASK, json={"question": "When is lunch served?"}).json())["release"] == first["release"]:
            assert time.monotonic() - published < 5
        took_snapshot = time.monotonic() - published

        source = (tmp_path / "prompts/answer/v1.prompt.md").read_text().replace("The first version.", "Another.")
        (tmp_path / "prompts/answer/v2.prompt.md").write_text(source)
        with (tmp_path / "prompts/prompts.lock").open("a") as lock:
            lock.write(f"{hashlib.sha256(source.encode()).hexdigest()}  answer/v2.prompt.md\n")
        (tmp_path / "prompts/labels.yaml").write_text("answer: {stable: 2}\n")
        moved = time.monotonic()
        while (third := client.post(ASK, json={"question": "When is lunch served?"}).json())["release"]["prompt"] == "answer@1":
            assert time.monotonic() - moved < 5
        took_label = time.monotonic() - moved

        (tmp_path / "prompts/labels.yaml").write_text("answer: {stable: 9}\n")
        time.sleep(1.5)
        still = client.post(ASK, json={"question": "When is lunch served?"}).json()
        ready = client.get("/readyz").json()

    assert "noon" in first["answer"]
    assert "one o'clock" in second["answer"]
    assert took_snapshot < 2
    assert took_label < 2
    assert third["release"]["prompt"] == still["release"]["prompt"] == "answer@2"
    assert "answer@9" in json.dumps(ready["index"])  # what can't be taken up is said, and what was there serves


def test_an_earlier_revision_is_shown_where_an_answer_cites_it_and_no_other_text_under_its_id(tmp_path: Path, cache_dir: Path):
    from ingest.build import build

    made = make_settings(tmp_path / "home", cache_dir)
    (tmp_path / "docs").mkdir()
    for name, text in (("a.md", "# Lunch\n\nLunch is served at noon.\n"), ("b.md", "# Secret\n\nThe vault opens at nine.\n")):
        (tmp_path / "docs" / name).write_text(text)
    build(tmp_path / "docs", collection="docs", settings=made)
    with in_thread(made) as client:
        cited = client.post(ASK, json={"question": "When is lunch served?"}).json()["citations"][0]
        (tmp_path / "docs/a.md").write_text("# Lunch\n\nLunch is served at one.\n")
        build(tmp_path / "docs", collection="docs", settings=made)
        other = next(d for d in client.get("/v1/documents").json()["documents"] if d["uri"].endswith("b.md"))
        time.sleep(2)
        path = f"/v1/documents/{cited['document_id']}"
        before = client.get(path, params={"revision": cited["revision"]})
        foreign = client.get(path, params={"revision": other["revision"]})

    assert before.json()["text"][cited["start"] : cited["end"]] == cited["quote"]
    assert foreign.status_code == 404
