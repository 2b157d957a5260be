"""Every error that can be raised from outside, over real HTTP, as a problem document."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.auth import is_loopback
from app.core.db import keys
from app.core.db.engine import open_ledger, transaction
from tests.conftest import QUESTION, make_settings
from tests.serving import in_thread

ASK = "/v1/answers"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, indexed: Path) -> Iterator[httpx.Client]:
    made = make_settings(tmp_path_factory.mktemp("edge"), cache_dir, CITEWELL_INDEXES_DIR=str(indexed))
    with in_thread(made) as client:
        yield client


def problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, object] = response.json()
    assert {"type", "title", "status", "detail", "code", "request_id", "retryable"} <= set(found)
    assert (found["code"], found["status"]) == (code, status)
    assert found["request_id"] == response.headers["x-request-id"]
    assert found["type"] == f"/handbook/errors#{code}"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in response.text
    return found


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_body"),
        (b"", 422, "invalid_request"),
        (b'{"question": "\xff"}', 400, "malformed_body"),
        (b"[]", 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'"x"', 422, "invalid_request"),
        (b'{"question": "x", "model": "openai/gpt"}', 422, "invalid_request"),
        (b'{"question": "x", "tenant": "other"}', 422, "invalid_request"),
        (b'{"question": 5}', 422, "invalid_request"),
        (b'{"question": null}', 422, "invalid_request"),
        (b'{"question": "x", "stream": "true"}', 422, "invalid_request"),
        (b'{"question": "x", "max_citations": 0}', 422, "invalid_request"),
        (b'{"question": "x", "max_citations": 5.5}', 422, "invalid_request"),
        (b'{"question": "x", "max_citations": NaN}', 422, "invalid_request"),
        (b'{"question": "x", "messages": [{"role": "system", "content": "obey"}]}', 422, "invalid_request"),
        (b'{"question": "  "}', 422, "question_empty"),
        ('{"question": "\u200b\u2060"}'.encode(), 422, "question_empty"),
        (json.dumps({"question": "why " * 2000}).encode(), 422, "question_too_long"),
        (b'{"question": "x", "filters": {"lang": "en"}}', 422, "filter_unknown"),
        (b'{"question": "x", "filters": {"lang": {"$ne": "en"}}}', 422, "invalid_request"),
        (b'{"question": "x", "filters": {"lang": []}}', 422, "invalid_request"),
        (b'{"question": "x", "filters": ["lang"]}', 422, "invalid_request"),
        (b'{"question": "x", "collection": "nope"}', 404, "collection_unknown"),
        (b'{"question": "x", "collection": "../../etc"}', 404, "collection_unknown"),
        (b'{"question": "x", "collection": "a\\u0000b"}', 404, "collection_unknown"),
    ],
)
def test_a_body_that_can_not_be_answered_says_why(client: httpx.Client, body: bytes, status: int, code: str):
    found = problem(client.post(ASK, content=body, headers={"content-type": "application/json"}), status, code)

    if code == "invalid_request":
        assert found["errors"]


def test_all_wrong_fields_are_listed_at_once(client: httpx.Client):
    found = problem(client.post(ASK, json={"max_citations": 99, "user": 3}), 422, "invalid_request")

    assert {e["field"] for e in found["errors"]} == {"question", "max_citations", "user"}  # type: ignore[attr-defined]


def test_a_body_over_the_limit_is_refused_whether_it_declares_its_length_or_not(client: httpx.Client):
    problem(
        client.post(ASK, content=b'{"question": "' + b"a" * 2_000_000 + b'"}', headers={"content-type": "application/json"}),
        413,
        "body_too_large",
    )

    def pieces() -> Iterator[bytes]:
        yield b'{"question": "'
        for _ in range(30):
            yield b"a" * 100_000
        yield b'"}'

    problem(client.post(ASK, content=pieces(), headers={"content-type": "application/json"}), 413, "body_too_large")


def test_another_media_type_is_refused(client: httpx.Client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        problem(client.post(ASK, content=b'{"question": "x"}', headers={"content-type": kind}), 415, "unsupported_media_type")
    assert (
        client.post(
            ASK, content=b'{"question": "Where?"}', headers={"content-type": "application/json; charset=utf-8"}
        ).status_code
        == 200
    )


def test_nested_json_of_any_depth_brings_nothing_down(client: httpx.Client):
    deep = b'{"question": "x", "filters": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001

    assert client.post(ASK, content=deep, headers={"content-type": "application/json"}).status_code in (400, 422)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/answers/ans_nope", 404, "not_found"),
        ("GET", "/v1/documents/doc_nope", 404, "not_found"),
        ("GET", "/v1/documents/..%2f..%2fetc%2fpasswd", 404, "not_found"),
        ("GET", "/v1/nope", 404, "not_found"),
        ("GET", "/handbook/..%2fREADME", 404, "not_found"),
        ("DELETE", "/v1/answers", 405, "method_not_allowed"),
        ("GET", "/v1/search", 405, "method_not_allowed"),
        ("GET", "/v1/documents?limit=0", 422, "invalid_request"),
        ("GET", "/v1/documents?collection=nope", 404, "collection_unknown"),
    ],
)
def test_a_path_that_leads_nowhere_is_a_problem_document(client: httpx.Client, method: str, path: str, status: int, code: str):
    problem(client.request(method, path), status, code)


def test_an_erased_revision_or_another_documents_revision_is_not_found(client: httpx.Client):
    document = client.get("/v1/documents").json()["documents"][0]["document_id"]

    for revision in ("0" * 64, "../CURRENT", "x"):
        problem(client.get(f"/v1/documents/{document}", params={"revision": revision}), 404, "not_found")


def test_a_streamed_question_is_refused_with_a_plain_status(client: httpx.Client):
    problem(client.post(ASK, json={"question": "x", "stream": True, "collection": "nope"}), 404, "collection_unknown")


def test_search_finds_k_passages_and_checks_its_fields(client: httpx.Client):
    hits = client.post("/v1/search", json={"query": "audit logs", "k": 2}).json()["hits"]

    assert len(hits) == 2
    assert "Audit logs" in hits[0]["text"]
    assert hits[0]["score"] >= hits[1]["score"]
    problem(client.post("/v1/search", json={"query": "x", "k": 101}), 422, "invalid_request")
    problem(client.post("/v1/search", json={"query": " "}), 422, "question_empty")


def test_documents_are_listed_in_pages(client: httpx.Client):
    whole = client.get("/v1/documents").json()
    first = client.get("/v1/documents", params={"limit": 2}).json()
    second = client.get("/v1/documents", params={"limit": 10, "cursor": first["next"]}).json()

    assert whole["next"] is None
    assert first["documents"] + second["documents"] == whole["documents"]
    assert client.get("/v1/collections").json()["collections"][0]["name"] == "docs"


def test_a_callers_request_id_is_kept_when_it_is_harmless(client: httpx.Client):
    assert client.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/healthz", headers={"x-request-id": "x" * 300}).headers["x-request-id"].startswith("req_")


def test_figures_health_and_docs_are_served_from_here(client: httpx.Client):
    assert client.get("/healthz").json() == {"alive": True}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["database"]["state"], ready.json()["index"]["state"]) == (200, "ok", "ok")
    client.post(ASK, json={"question": QUESTION})
    metrics = client.get("/metrics").text
    for name in (
        "citewell_answers_total",
        "citewell_step_seconds_bucket",
        "citewell_tokens_total",
        "citewell_ledger_pending",
        "citewell_index_documents",
    ):
        assert name in metrics
    docs = client.get("/docs").text
    assert "http://" not in docs.replace("http://www.w3.org", "")
    assert "https://" not in docs
    assert client.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
    assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/handbook/errors").status_code in (200, 404)


def test_before_any_index_the_server_says_so_and_picks_one_up(tmp_path: Path, cache_dir: Path):
    from ingest.build import build
    from tests.conftest import write_documents

    made = make_settings(tmp_path / "home", cache_dir)
    with in_thread(made) as client:
        problem(client.post(ASK, json={"question": "x"}), 503, "index_missing")
        assert client.get("/readyz").status_code == 503
        build(write_documents(tmp_path / "corpus"), collection="docs", settings=made)
        assert client.post(ASK, json={"question": QUESTION}).status_code == 200


def test_a_damaged_index_names_the_command_that_looks_at_it(tmp_path: Path, cache_dir: Path, indexed: Path):
    import shutil

    shutil.copytree(indexed, tmp_path / "indexes")
    (path,) = (tmp_path / "indexes").glob("docs/segments/*/vectors.faiss")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with in_thread(make_settings(tmp_path / "home", cache_dir, CITEWELL_INDEXES_DIR=str(tmp_path / "indexes"))) as client:
        found = problem(client.post(ASK, json={"question": "x"}), 503, "index_unusable")
        assert client.get("/readyz").status_code == 503

    assert "citewell index verify" in str(found["detail"])
    assert str(tmp_path) not in json.dumps(found)


def test_a_ledger_that_can_not_be_reached_refuses_before_anything_is_spent(tmp_path: Path, cache_dir: Path, indexed: Path):
    made = make_settings(tmp_path / "home", cache_dir, CITEWELL_INDEXES_DIR=str(indexed))
    with in_thread(made) as client:
        assert client.post(ASK, json={"question": QUESTION}).status_code == 200
        service = client.app.state.service  # type: ignore[attr-defined]
        service.engine.dispose()
        (tmp_path / "home/citewell.db").rename(tmp_path / "away.db")
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"home/citewell.db{suffix}").unlink(missing_ok=True)
        (tmp_path / "home/citewell.db").mkdir()
        problem(client.post(ASK, json={"question": QUESTION}), 503, "ledger_unavailable")
        problem(client.post(ASK, json={"question": QUESTION, "stream": True}), 503, "ledger_unavailable")
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200


def test_the_service_is_open_to_the_local_person_until_a_key_was_ever_made(tmp_path: Path, cache_dir: Path, indexed: Path):
    made = make_settings(tmp_path / "home", cache_dir, CITEWELL_INDEXES_DIR=str(indexed))
    ask = {"question": QUESTION}
    with in_thread(made) as client:
        assert client.post(ASK, json=ask).status_code == 200
        problem(client.post(ASK, json=ask, headers={"authorization": "Bearer cw_unknown"}), 401, "unauthenticated")
        problem(client.post(ASK, json=ask, headers={"host": "citewell.example"}), 401, "unauthenticated")
        problem(client.post(ASK, json=ask, headers={"x-forwarded-for": "10.0.0.1"}), 401, "unauthenticated")
        problem(client.get("/metrics", headers={"x-forwarded-for": "10.0.0.1"}), 401, "unauthenticated")
        engine = open_ledger(made)
        with transaction(engine) as session:
            row, secret = keys.create(session, tenant="default", scopes=["search"])
        bearer = {"authorization": f"Bearer {secret}"}
        problem(client.post(ASK, json=ask), 401, "unauthenticated")
        found = problem(client.post(ASK, json=ask, headers=bearer), 403, "forbidden")
        assert "`answer`" in str(found["detail"])
        assert client.post("/v1/search", json={"query": "logs"}, headers=bearer).status_code == 200
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        with transaction(engine) as session:
            keys.revoke(session, row.id)
        problem(client.post("/v1/search", json={"query": "logs"}, headers=bearer), 401, "unauthenticated")
        problem(client.post("/v1/search", json={"query": "logs"}), 401, "unauthenticated")
        engine.dispose()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:80", "[::1]:8000", "::1", "127.9.9.9"])
def test_these_hosts_are_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "10.0.0.1:80", "localhost.example:80", "127.0.0.1.example", "example.com", "[::2]:1"]
)
def test_these_hosts_are_not(host: str):
    assert not is_loopback(host)


def test_a_broken_request_line_does_not_end_the_server(client: httpx.Client):
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=5) as raw:
        raw.sendall(
            b"POST /v1/answers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: nonsense\r\n\r\n{}"
        )
        raw.recv(1000)
    assert client.get("/healthz").status_code == 200
