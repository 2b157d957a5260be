import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.core.config import CHECKOUT
from app.core.errors import DocumentRefused
from ingest.parse import parse
from ingest.sandbox import Limits, Sandbox
from tests.ingest.parsers_that_misbehave import misbehave

MISBEHAVE = "tests.ingest.parsers_that_misbehave:misbehave"
LIMITS = Limits(seconds=30, memory_bytes=1 << 30)
linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux holds a process to its address space, and signals a pipe's end"
)


@dataclass(frozen=True)
class Document:
    raw: bytes
    suffix: str = ".md"
    uri: str = "w/a.md"
    row: dict[str, Any] | None = None


@pytest.fixture
def child() -> Iterator[Sandbox]:
    with Sandbox(LIMITS, function=MISBEHAVE) as sandbox:
        yield sandbox


def says(child: Sandbox, wish: str) -> str:
    return child(Document(wish.encode())).text


def refusal_of(child: Sandbox, wish: str) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as caught:
        says(child, wish)
    return caught.value


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return  # dead; whoever inherited it has not looked yet
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} lives")


def test_what_the_child_reads_equals_what_is_read_here():
    documents = [
        Document(b"# T\n\n## H\n\ntext \xc3\xa9\n\n- a\n- b\n"),
        Document(b"---\ntitle: T\ntags: [a, 1, 2.5]\nday: 2024-02-03\n---\ntext\n"),
        Document(b"<h1>T</h1><p>text</p>", ".html"),
        Document("Grüße aus Köln".encode("cp1252"), ".txt"),
        Document(b"", ".jsonl", "d.jsonl#a", {"_id": "a", "text": "x", "lang": "en"}),
    ]
    with Sandbox(LIMITS) as read:
        assert [read(document) for document in documents] == [parse(document) for document in documents]
        assert read(documents[1]).parser == parse(documents[1]).parser


def test_every_kind_of_value_comes_through(child: Sandbox):
    assert child(Document(b"odd")) == misbehave(Document(b"odd"))


def test_a_parsers_own_refusal_comes_through():
    bad = Document(b"%PDF-1.4 no pdf", ".pdf")
    with pytest.raises(DocumentRefused) as here:
        parse(bad)
    with Sandbox(LIMITS) as read, pytest.raises(DocumentRefused) as there:
        read(bad)

    assert (there.value.reason, there.value.message, there.value.detail) == (
        here.value.reason,
        here.value.message,
        here.value.detail,
    )


def test_one_child_reads_many_documents(child: Sandbox):
    assert says(child, "pid") == says(child, "pid") != str(os.getpid())


def test_nothing_is_started_for_rows_alone():
    with Sandbox(LIMITS, function="no.such:module") as read:
        assert read(Document(b"", ".jsonl", "d.jsonl#a", {"_id": "a", "text": "x"})).text == "x"


@pytest.mark.parametrize("wish", ["sleep", "hold"])
def test_a_parser_that_hangs_is_refused_and_the_next_document_read(wish: str):
    with Sandbox(replace(LIMITS, seconds=0.3), function=MISBEHAVE) as child:
        before = int(says(child, "pid"))

        refusal = refusal_of(child, wish)

        assert refusal.reason == "parser_timeout"
        assert "0.3 s" in refusal.message
        assert says(child, "plain text") == "plain text"
        wait_until_gone(before)


def test_time_is_counted_for_each_document_alone():
    with Sandbox(replace(LIMITS, seconds=0.5), function=MISBEHAVE) as child:
        says(child, "pid")
        time.sleep(0.7)
        assert says(child, "plain text") == "plain text"


@linux
@pytest.mark.parametrize("wish", ["list", "bytes", "refused of memory", "alloc", "killed"])
def test_a_parser_that_takes_all_memory_is_refused_and_the_next_document_read(child: Sandbox, wish: str):
    refusal = refusal_of(child, wish)

    assert refusal.reason == "parser_memory"
    assert "1.0 GiB" in refusal.message
    assert says(child, "plain text") == "plain text"


@linux
@pytest.mark.parametrize(
    ("holds", "wish", "reason"), [(1, "silent", "parser_memory"), (1, "abort", "corrupt"), (600, "abort", "corrupt")]
)
def test_an_abort_without_a_word_is_of_memory_only_where_the_child_itself_held_much(holds: int, wish: str, reason: str):
    """The kernel counts a parent's memory as its child's too, so the parent must be a small one, or a large one on purpose."""
    code = f"""
import sys
from tests.ingest.test_sandbox import Document, DocumentRefused, LIMITS, MISBEHAVE, Sandbox
held = b"x" * (int(sys.argv[1]) << 20)
with Sandbox(LIMITS, function={MISBEHAVE!r}) as child:
    try:
        child(Document(sys.argv[2].encode()))
    except DocumentRefused as refusal:
        print(refusal.reason)
"""
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code, str(holds), wish], capture_output=True, text=True, check=False, env=env)

    assert (done.stdout.strip(), done.returncode) == (reason, 0), done.stderr


@pytest.mark.parametrize(
    ("wish", "how"), [("abort", "SIGABRT"), ("exit", "exit status 3"), ("bug", "exit status 1"), ("quit", "exit status 1")]
)
def test_a_parser_that_ends_its_process_is_refused_and_the_next_document_read(child: Sandbox, wish: str, how: str):
    refusal = refusal_of(child, wish)

    assert (refusal.reason, how in refusal.message) == ("corrupt", True)
    assert says(child, "plain text") == "plain text"


def test_a_parser_that_closes_its_pipe_is_not_waited_for(child: Sandbox):
    started = time.monotonic()

    refusal = refusal_of(child, "close")

    assert refusal.reason == "corrupt"  # and not for want of memory: it was killed by us
    assert says(child, "plain text") == "plain text"
    assert time.monotonic() - started < LIMITS.seconds


def test_its_last_words_are_the_detail_and_not_the_message(child: Sandbox):
    refusal = refusal_of(child, "bug")

    assert "ValueError: a bug" in (refusal.detail or "")
    assert "ValueError" not in refusal.message


@linux
def test_no_document_is_refused_for_what_others_left_behind(child: Sandbox):
    pids = {says(child, "pid")}
    for _ in range(12):  # each takes a fifth of the limit, and keeps it
        assert says(child, "leak") == "done"
        pids.add(says(child, "pid"))

    assert 1 < len(pids) < 13


def test_a_child_that_died_between_documents_refuses_none(child: Sandbox):
    os.kill(int(says(child, "pid")), signal.SIGKILL)

    assert says(child, "plain text") == "plain text"


def test_a_child_may_not_fill_the_disk(child: Sandbox, tmp_path: Path):
    refusal_of(child, "write")

    assert not (tmp_path / "written").exists() or (tmp_path / "written").stat().st_size <= 1 << 20
    for _ in range(20):
        try:
            says(child, "whisper")
        except DocumentRefused:  # the file for its words is full
            break
    assert says(child, "plain text") == "plain text"


def test_a_child_sees_no_keys(child: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    monkeypatch.setenv("CITEWELL_MODEL_API_KEY", "sk-none")

    assert "KEY" not in says(child, "environment")


def test_a_large_document_passes(child: Sandbox):
    text = "All work and no play. " * (50_000_000 // 22)

    assert len(child(Document(text.encode(), ".txt")).text) == len(text.rstrip())


def test_modules_in_the_working_folder_are_not_imported(tmp_path: Path):
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")  # tmp_path is where the tests stand

    with Sandbox(LIMITS) as read:
        assert read(Document(b"text")).text == "text"


def test_what_can_not_start_is_no_documents_fault():
    with Sandbox(LIMITS, function="no.such:module") as read, pytest.raises(RuntimeError, match="ModuleNotFoundError"):
        read(Document(b"text"))


def test_leaving_the_block_ends_the_child():
    with Sandbox(LIMITS, function=MISBEHAVE) as child:
        pid = int(says(child, "pid"))

    wait_until_gone(pid)


PARENT = f"""
import sys
from tests.ingest.test_sandbox import Document, LIMITS, MISBEHAVE, Sandbox
with Sandbox(LIMITS, function={MISBEHAVE!r}) as child:
    print(child(Document(b"pid")).text, flush=True)
    child(Document(sys.argv[1].encode())) if sys.argv[1] != "idle" else sys.stdin.read()
"""


def parent_of(wish: str) -> tuple[subprocess.Popen[str], int]:
    """Run a process whose child does as wished; return it and the child's id."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, wish],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


@linux
@pytest.mark.parametrize("wish", ["idle", "sleep", "hold"])
def test_a_parent_that_is_killed_leaves_no_child(wish: str):
    parent, pid = parent_of(wish)
    time.sleep(0.1)
    with parent:
        parent.kill()

    wait_until_gone(pid)


@linux
def test_ctrl_c_is_the_parents_business():
    parent, pid = parent_of("sleep")
    time.sleep(0.1)
    with parent:
        os.killpg(parent.pid, signal.SIGINT)  # what a terminal does
        _, errors = parent.communicate(timeout=20)

    assert errors.count("Traceback") == 1  # the parent's own, which a command turns into one line
    assert "KeyboardInterrupt" in errors
    wait_until_gone(pid)
