"""Forty real questions over real passages, through HTTP, streamed and not: law 1, law 4, and a ledger that sums."""

import json
from pathlib import Path

import pytest

from app.core.db import ledger
from app.core.db.engine import open_ledger, transaction
from ingest.build import build
from tests.conftest import make_settings
from tests.serving import in_thread, stream


@pytest.mark.slow
def test_clapnq_questions_obey_the_laws(tmp_path: Path, cache_dir: Path, shared_data: Path, provider):
    folder = shared_data / "qa-clapnq"
    cases = [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines()]
    chosen = cases[:: len(cases) // 40][:40]
    wanted = {e["document"] for case in chosen for e in case.get("evidence") or []}
    lines = (folder / "documents.jsonl").read_text().splitlines()
    kept = [line for number, line in enumerate(lines) if number % 12 == 0 or json.loads(line)["_id"] in wanted]
    (tmp_path / "documents.jsonl").write_text("\n".join(kept) + "\n")
    made = make_settings(tmp_path / "home", cache_dir)
    report = build(tmp_path / "documents.jsonl", collection="docs", settings=made)
    assert report.added == len(kept)

    texts: dict[tuple[str, str], str] = {}
    total = 0
    with in_thread(made) as client:
        for case in chosen:
            events = stream(client, question=case["question"])
            body = client.post("/v1/answers", json={"question": case["question"]}).json()
            whole = events[-1]["answer"]
            varying = {"id", "created_at", "trace_id", "timings_ms"}
            assert {k: v for k, v in whole.items() if k not in varying} == {k: v for k, v in body.items() if k not in varying}
            assert "".join(e["text"] for e in events if e["type"] == "answer.delta") == whole["answer"]
            for one in (whole, body):
                total += round(one["usage"]["cost_usd"] * 1e9)
                for citation in one["citations"]:
                    key = citation["document_id"], citation["revision"]
                    if key not in texts:
                        texts[key] = client.get(f"/v1/documents/{key[0]}", params={"revision": key[1]}).json()["text"]
                    assert texts[key][citation["start"] : citation["end"]] == citation["quote"]
    engine = open_ledger(made)
    with transaction(engine) as session:
        rows = ledger.recent(session, 1000)
    engine.dispose()
    assert len(rows) == 80
    assert sum(row.cost_nano for row in rows) == total
