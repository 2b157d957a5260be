"""The commands of a data owner: what is indexed, deleting, restoring, access lists, quarantine, rolling back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from app.core import snapshot
from app.core.config import Settings
from tests.conftest import DOCUMENTS, write_documents

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process over an index of the small corpus."""
    monkeypatch.setenv("CITEWELL_HOME", str(settings.home))
    monkeypatch.setenv("CITEWELL_INDEXES_DIR", str(settings.indexes_dir))
    write_documents(tmp_path / "corpus")

    def invoke(*args: str, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, [str(arg) for arg in args])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    invoke("ingest", str(tmp_path / "corpus"))
    return invoke


def said(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_documents_are_listed_and_shown_by_id_or_uri(run: Run):
    listed = said(run("docs", "list", "--json"))
    few = run("docs", "list", "--limit", "2").stdout
    by_uri = said(run("docs", "show", "corpus/ports.md", "--json"))
    by_id = said(run("docs", "show", by_uri["document_id"], "--json"))

    assert (listed["total"], len(listed["documents"])) == (len(DOCUMENTS), len(DOCUMENTS))
    assert "3 more" in few
    assert by_uri == by_id
    assert (by_uri["title"], by_uri["acl"], by_uri["published"]) == ("Ports", None, True)
    assert "docs list" in run("docs", "show", "corpus/nothing.md", code=1).stderr


def test_deleting_prints_the_receipt_and_restoring_says_what_comes_back(run: Run):
    receipt = said(run("docs", "delete", "corpus/ports.md", "--json"))
    gone = said(run("docs", "list", "--json"))
    again = said(run("docs", "delete", "corpus/ports.md", "--json"))
    erased = said(run("docs", "list", "--erased", "--json"))["documents"]
    hidden = run("docs", "show", "corpus/ports.md", code=1).stderr
    restored = said(run("docs", "restore", "corpus/ports.md", "--json"))

    assert (receipt["state"], receipt["probe"]["hits"], receipt["removed"]["cached_vectors"]) == ("masked", 0, 1)
    assert gone["total"] == len(DOCUMENTS) - 1
    assert again["id"] == receipt["id"]
    assert again["removed"] == receipt["removed"]  # what was removed the first time stays said
    assert [row["document_id"] for row in erased] == [receipt["document_id"]]
    assert "deleted" in hidden
    assert restored["visible"] is True
    assert said(run("docs", "list", "--json"))["total"] == len(DOCUMENTS)
    assert "not deleted" in run("docs", "restore", "corpus/ports.md", code=1).stderr

    run("docs", "delete", "corpus/ports.md")
    assert "1 deleted document" in run("index", "gc").stdout
    assert said(run("docs", "restore", "corpus/ports.md", "--json"))["visible"] is False


def test_access_lists_are_shown_set_and_taken_away(run: Run):
    assert "no list" in run("docs", "acl", "corpus/ports.md").stdout
    set_ = said(run("docs", "acl", "corpus/ports.md", "--allow", "ops", "--allow", "user:7", "--json"))
    nobody = said(run("docs", "acl", "corpus/ports.md", "--nobody", "--json"))
    cleared = said(run("docs", "acl", "corpus/ports.md", "--clear", "--json"))
    required = said(run("index", "acl", "required", "--json"))

    assert (set_["acl"], set_["required"]) == (["ops", "user:7"], False)
    assert (nobody["acl"], cleared["acl"]) == ([], None)
    assert required == {"collection": "docs", "acl": "required"}
    assert said(run("docs", "acl", "corpus/ports.md", "--json"))["required"] is True
    assert run("docs", "acl", "corpus/ports.md", "--nobody", "--clear", code=2)


def test_what_was_refused_is_listed_and_tried_again(run: Run, tmp_path: Path):
    (tmp_path / "corpus/broken.md").write_bytes(b"\x00\x01\x02" * 100)
    run("ingest", str(tmp_path / "corpus"))
    (row,) = said(run("docs", "quarantine", "--json"))["refused"]
    (tmp_path / "corpus/broken.md").write_text("# Mended\n\nIt is text now.\n")

    after = said(run("docs", "quarantine", "--retry", "--json"))

    assert (row["source"], row["place"], row["code"]) == ("corpus", "broken.md", "binary")
    assert after["refused"] == []
    assert said(run("docs", "list", "--json"))["total"] == len(DOCUMENTS) + 1


def test_a_publication_is_taken_back_and_nothing_deleted_comes_with_it(run: Run, tmp_path: Path, settings: Settings):
    first = snapshot.current_id(settings.indexes_dir, "docs")
    (tmp_path / "corpus/new.md").write_text("# New\n\nA page.\n")
    run("ingest", str(tmp_path / "corpus"))
    run("docs", "delete", "corpus/ports.md")

    back = said(run("index", "rollback", "--json"))

    assert (back["snapshot"], snapshot.current_id(settings.indexes_dir, "docs")) == (first, first)
    assert "corpus/ports.md" not in {row["uri"] for row in said(run("docs", "list", "--json"))["documents"]}
    forth = said(run("index", "rollback", "--to", back["was"], "--json"))
    assert forth["snapshot"] == back["was"]
    assert "sound" in run("index", "verify").stdout


def test_a_source_that_lost_half_is_not_published_until_that_is_confirmed(run: Run, tmp_path: Path):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(12):
        (many / f"{number}.md").write_text(f"# Page {number}\n\nWhat page {number} says.\n")
    run("ingest", str(many))
    for number in range(7):
        (many / f"{number}.md").unlink()

    stopped = run("ingest", str(many), "--sync", code=1)
    kept = said(run("docs", "list", "--json"))["total"]
    confirmed = said(run("ingest", str(many), "--sync", "--accept-shrinkage", "--json"))

    assert "--accept-shrinkage" in stopped.stderr
    assert kept == len(DOCUMENTS) + 12
    assert confirmed["documents"]["deleted"] == 7


def test_a_dry_run_says_what_would_change_and_writes_nothing(run: Run, tmp_path: Path, settings: Settings):
    (tmp_path / "corpus/new.md").write_text("# New\n\nA page.\n")
    before = sorted(path for path in settings.indexes_dir.rglob("*"))

    foreseen = said(run("ingest", str(tmp_path / "corpus"), "--dry-run", "--json"))

    assert (foreseen["documents"]["added"], foreseen["documents"]["unchanged"]) == (1, len(DOCUMENTS))
    assert foreseen["dry_run"]["embed"] == 1
    assert foreseen["dry_run"]["cost_usd"] == 0
    assert sorted(path for path in settings.indexes_dir.rglob("*")) == before
