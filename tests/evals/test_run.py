"""Suites through the product: what passes, what closes the gate, and what is an error and no score."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from app.core.config import CHECKOUT, Settings
from app.core.db import ledger
from app.core.db.engine import open_ledger, transaction
from evals import recordings
from evals.cli import evals
from evals.suite import SUITES
from evals.upstream import Upstream

assert CHECKOUT is not None
WORSE = CHECKOUT / "evals" / "data" / "worse"


@pytest.fixture
def home(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for the commands, as the environment gives it."""
    monkeypatch.setenv("CITEWELL_HOME", str(settings.home))
    monkeypatch.setenv("CITEWELL_INDEXES_DIR", str(settings.indexes_dir))
    return settings.home


def call(*args: str) -> Result:
    return CliRunner().invoke(evals, list(args))


def report(*args: str, code: int = 0) -> dict[str, Any]:
    done = call("run", *args, "--json")
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def suite_file(folder: Path, name: str, **changed: object) -> str:
    """A shipped suite with something changed, as a file of its own."""
    suite = yaml.safe_load((SUITES / f"{name}.yaml").read_text())
    suite["cases"] = str(SUITES / suite["cases"])
    if suite["documents"] != "handbook":
        suite["documents"] = str(SUITES / suite["documents"])
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**suite, **changed}))
    return str(path)


@pytest.mark.slow
def test_the_handbook_suite_passes_is_the_same_each_time_and_leaves_no_trace(home: Path, tmp_path: Path):
    first = report("smoke", "--out", str(tmp_path / "out"))
    again = report("smoke")

    assert first["verdict"] == "pass"
    assert first["errors"] == []
    timed = {"p50_ms", "p95_ms"}
    assert {k: v for k, v in first["measures"].items() if k not in timed} == {
        k: v for k, v in again["measures"].items() if k not in timed
    }
    assert first["release"] == again["release"]
    assert not (home / "citewell.db").exists()
    assert not (home / "indexes").exists()
    rows = [json.loads(line) for line in (tmp_path / "out" / "cases.jsonl").read_text().splitlines()]
    assert len(rows) == first["cases"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["measures"] == first["measures"]


@pytest.mark.slow
def test_a_gutted_index_closes_the_gate(home: Path, tmp_path: Path):
    shutil.copytree(CHECKOUT / "docs" / "handbook", tmp_path / "pages")  # type: ignore[operator]
    for page in sorted((tmp_path / "pages").iterdir())[::2]:
        page.unlink()

    found = report(suite_file(tmp_path, "smoke", documents=str(tmp_path / "pages")), code=3)

    assert found["verdict"] == "fail"
    assert any("hit" in floor for floor in found["broken"])


def test_recordings_answer_in_the_models_place(home: Path):
    found = report("answers")

    assert found["answered_by"] == {"recordings": 24, "model": 0}
    assert (found["verdict"], found["release"]["model"]) == ("pass", "citewell/smollm2")
    assert found["measures"]["right"]["value"] >= 0.45


def test_the_worse_prompt_closes_the_gate(home: Path, monkeypatch: pytest.MonkeyPatch):
    better = report("answers", "--limit", "8")
    monkeypatch.setenv("CITEWELL_PROMPTS_DIR", str(WORSE))
    worse = report("answers", "--limit", "8", code=3)

    assert (better["verdict"], worse["verdict"]) == ("pass", "fail")
    assert worse["answered_by"] == {"recordings": 8, "model": 0}
    assert "right >= 0.45" in worse["broken"]
    assert worse["release"]["prompt"] == "answer@2"


def test_calls_that_were_not_recorded_are_errors_and_no_scores(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CITEWELL_MODEL_API_KEY", "sk-none")
    set_price(home, "openai/none")
    found = report("answers", "--model", "openai/none", "--limit", "3", code=3)

    assert found["verdict"] == "error"
    assert [one["code"] for one in found["errors"]] == ["not_recorded"] * 3
    assert "evals record" in found["errors"][0]["message"]
    assert found["measures"]["right"]["value"] is None
    assert found["measures"]["right_overall"]["value"] == 0
    assert found["measures"]["hit"]["value"] == 1


def test_a_model_that_can_not_be_reached_gives_errors_and_no_scores(home: Path, monkeypatch: pytest.MonkeyPatch):
    set_price(home, "openai/none", "0", "0")
    monkeypatch.setenv("CITEWELL_MODEL_BASE_URL", "http://127.0.0.1:9/v1")
    done = call("run", "answers", "--model", "openai/none", "--limit", "3")

    assert done.exit_code == 3
    assert "3 of 3 cases ended in an error" in done.stdout
    assert "model_unavailable" in done.stdout
    assert done.stdout.strip().endswith("could not be taken")


def set_price(home: Path, model: str, given: str = "1", taken: str = "2") -> None:
    row = {"since": date(2026, 1, 1), "input": given, "output": taken}
    home.mkdir(exist_ok=True)
    (home / "prices.yaml").write_text(yaml.safe_dump({"models": {model: [row]}}))


def test_what_is_asked_live_is_paid_and_stands_in_the_ledger(
    home: Path, settings: Settings, provider: Upstream, monkeypatch: pytest.MonkeyPatch
):
    set_price(home, "openai/fake")
    monkeypatch.setenv("CITEWELL_MODEL_BASE_URL", provider.url())
    monkeypatch.setenv("CITEWELL_MODEL_API_KEY", "sk-none")

    found = report("answers", "--model", "openai/fake", "--limit", "2", "--live")

    engine = open_ledger(settings)
    with transaction(engine) as session:
        rows = ledger.recent(session, 10)
    engine.dispose()
    assert found["answered_by"] == {"recordings": 0, "model": 2}
    assert len(rows) == 2
    assert sum(row.cost_nano for row in rows) == round(found["measures"]["cost_usd"]["value"] * 1e9) > 0


def test_recording_writes_one_file_that_a_run_then_plays(
    home: Path, tmp_path: Path, provider: Upstream, monkeypatch: pytest.MonkeyPatch
):
    copy = tmp_path / "recordings"
    shutil.copytree(recordings.FOLDER, copy)
    monkeypatch.setattr(recordings, "FOLDER", copy)
    set_price(home, "openai/fake")
    monkeypatch.setenv("CITEWELL_MODEL_BASE_URL", provider.url())
    monkeypatch.setenv("CITEWELL_MODEL_API_KEY", "sk-none")

    done = call("record", "answers", "--model", "openai/fake", "--limit", "3")
    assert done.exit_code == 0, done.output
    monkeypatch.delenv("CITEWELL_MODEL_BASE_URL")
    found = report("answers", "--model", "openai/fake", "--limit", "3")

    assert (copy / "answers" / "openai-fake.answer@1.jsonl").exists()
    assert found["answered_by"] == {"recordings": 3, "model": 0}
    assert found["measures"]["cost_usd"]["value"] > 0


def test_a_recording_with_a_failure_in_it_is_not_kept(home: Path, provider: Upstream, monkeypatch: pytest.MonkeyPatch):
    set_price(home, "openai/fake")
    monkeypatch.setenv("CITEWELL_MODEL_BASE_URL", provider.url("down"))
    before = sorted(recordings.FOLDER.rglob("*"))

    done = call("record", "answers", "--model", "openai/fake", "--limit", "2")

    assert done.exit_code == 1
    assert "nothing was recorded" in done.stderr
    assert sorted(recordings.FOLDER.rglob("*")) == before


def test_any_folder_in_the_format_is_scored(home: Path, tmp_path: Path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "documents.jsonl").write_text(
        json.dumps({"_id": "a", "title": "Logs", "text": "Audit logs are kept for 365 days on the Enterprise plan."}) + "\n"
    )
    case = {
        "id": "1", "question": "How long are audit logs kept on the Enterprise plan?", "answers": ["365 days"], "answerable": True,
        "evidence": [{"document": "a", "quote": "kept for 365 days"}],
    }  # fmt: skip
    (folder / "cases.jsonl").write_text(json.dumps(case) + "\n")

    found = report(str(folder))

    assert (found["verdict"], found["floors"], found["model"]) == ("pass", [], "extractive")
    assert (found["measures"]["right"]["value"], found["measures"]["cited"]["value"], found["measures"]["hit"]["value"]) == (
        1,
        1,
        1,
    )


def test_retrieval_is_scored_on_a_beir_folder(home: Path, tmp_path: Path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    texts = {"a": "Audit logs are kept for a year.", "b": "The gateway listens on port 8443.", "c": "Backups run at night."}
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": k, "title": "", "text": v}) + "\n" for k, v in texts.items()))
    queries = {"1": "retention of audit logs", "2": "which port does the gateway use", "3": "no judgement for this one"}
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": k, "text": v}) + "\n" for k, v in queries.items()))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n2\tb\t2\n2\tgone\t1\n")

    done = call("bench", "retrieval", str(folder), "--json")

    assert done.exit_code == 0, done.output
    dense = json.loads(done.stdout)["dense"]
    assert dense["recall@10"] == 0.75
    assert 0.8 < dense["ndcg@10"] < 1


def test_a_document_with_a_uri_of_its_own_is_still_found_by_its_id(home: Path, tmp_path: Path):
    (tmp_path / "qrels").mkdir()
    row = {"_id": "a#1", "uri": "https://wiki.example/logs", "title": "", "text": "Audit logs are kept for a year."}
    (tmp_path / "corpus.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": "retention of audit logs"}) + "\n")
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta#1\t1\n")

    assert json.loads(call("bench", "retrieval", str(tmp_path), "--json").stdout)["dense"]["ndcg@10"] == 1


@pytest.mark.parametrize("missing", ["queries.jsonl", "test.tsv"])
def test_a_folder_that_is_no_beir_folder_says_what_it_needs(home: Path, tmp_path: Path, missing: str):
    if missing == "test.tsv":
        (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": "logs"}) + "\n")

    done = call("bench", "retrieval", str(tmp_path))

    assert done.exit_code == 1
    assert f"{missing} can't be read" in done.stderr


def test_the_extractive_model_is_not_recorded(home: Path):
    done = call("record", "smoke")

    assert done.exit_code == 1
    assert "needs no recording" in done.stderr
    assert sorted(path.name for path in recordings.FOLDER.iterdir()) == ["answers"]
