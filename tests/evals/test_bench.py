"""The machinery of the benchmark: its arithmetic, its page, its client; and one small run of everything."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.bench import children, corpus, page, workshop
from evals.bench.callers import closed_loop
from evals.bench.figures import Failed, Load, Row, middle, percentile, table, whole
from evals.bench.load import Client

ROOT = Path(__file__).parents[2]


# ------------------------------------------------------------------------------------------ arithmetic


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 5), (0.95, 10), (1.0, 10), (0.01, 1), (0.9, 9), (0.91, 10)])
def test_a_percentile_is_the_nearest_rank(share: float, wanted: float):
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == wanted


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], share: float):
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.5)])
def test_no_percentile_is_made_of_nothing(values: list[float], share: float):
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_the_middle_of_two_is_their_mean():
    assert middle([1, 2]) == 1.5
    assert middle([3, 1, 100]) == 3


def test_a_table_has_a_line_a_row():
    text = table([Row("a", "1", "2 (b)", "0.50", ">= .75", 3), Row("c", "4")])

    assert text.splitlines()[2:] == ["| a | 1 | 2 (b) | 0.50 | >= .75 | 3 |", "| c | 4 |  |  |  | 1 |"]


# ------------------------------------------------------------------------------------------ callers


async def test_callers_ask_each_number_once_and_no_more_at_a_time_than_there_are_callers():
    asked: list[int] = []
    running = most = 0

    async def send(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        asked.append(number)
        running -= 1

    load = await closed_loop(send, callers=3, first=10, requests=20)

    assert sorted(asked) == list(range(10, 30))
    assert (most, load.callers, load.requests, load.errors) == (3, 3, 20, 0)
    assert load.rate == pytest.approx(20 / load.seconds)
    assert whole(load) is load


async def test_an_error_is_counted_and_fails_the_run():
    async def send(number: int) -> None:
        if number % 4 == 0:
            raise OSError(f"no {number}")

    load = await closed_loop(send, callers=2, first=0, requests=10)

    assert (load.errors, load.requests) == (3, 10)
    with pytest.raises(Failed, match="3 of 10 requests failed at 2 callers; the first: OSError: no 0"):
        whole(load)


@contextmanager
def answering(status: int, body: bytes, seen: list[tuple[str, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            seen.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/answers"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_the_client_posts_over_a_kept_connection():
    seen: list[tuple[str, bytes]] = []
    with answering(200, b'{"ok":true}', seen) as url:
        client = Client(url)
        assert [await client.post(body) for body in (b"{}", b'{"question":"a"}')] == [b'{"ok":true}'] * 2
        assert len(client._idle) == 1
        await client.close()

    assert seen == [("/v1/answers", b"{}"), ("/v1/answers", b'{"question":"a"}')]


@pytest.mark.parametrize("status", [400, 429, 503, 201])
async def test_anything_but_a_200_is_an_error(status: int):
    with answering(status, b"slow down", []) as url:
        client = Client(url)
        load = await closed_loop(lambda _: _ignored(client.post(b"{}")), callers=2, first=0, requests=4)
        await client.close()

    assert (load.errors, load.first_error) == (4, f"ValueError: {status}: slow down")


async def test_a_server_that_is_not_there_is_an_error():
    client = Client("http://127.0.0.1:9/v1/answers")

    load = await closed_loop(lambda _: _ignored(client.post(b"{}")), callers=1, first=0, requests=1)

    assert load.errors == 1


async def _ignored(coming) -> None:
    await coming


# ------------------------------------------------------------------------------------------ the page


PAGE = "# Benchmarks\r\n\r\nBefore.\n\n<!-- bench:start -->\nold\n<!-- bench:end -->\n\n\tAfter é\n\n".encode()


def test_writing_the_table_leaves_every_other_byte():
    new = page.replaced(PAGE, "| new |")

    assert new == PAGE.replace(b"old", b"| new |")
    assert page.replaced(new, "| new |") == new


@given(st.text(), st.text())
def test_what_stands_around_the_section_stays(before: str, after: str):
    head, tail = before.encode(errors="replace"), after.encode(errors="replace")
    old = b"%b<!-- bench:start -->\nx\n<!-- bench:end -->%b" % (head, tail)

    assert page.replaced(old, "y") == old.replace(b"-->\nx\n<!--", b"-->\ny\n<!--", 1)


@pytest.mark.parametrize(
    "wrong",
    [b"nothing", b"<!-- bench:end --><!-- bench:start -->", PAGE + b"<!-- bench:start -->", b"<!-- bench:start --> only"],
)
def test_a_page_without_its_section_is_left_alone(wrong: bytes):
    with pytest.raises(Failed, match="bench:start"):
        page.replaced(wrong, "x")


def test_the_section_says_how_it_was_obtained_and_names_no_machine_but_its_kind():
    import platform

    text = page.section([Row("a", "1")], "make bench")

    assert "`make bench`" in text
    assert "cores" in text
    assert platform.node() not in text
    assert str(ROOT) not in text


def test_the_benchmarks_page_has_its_section():
    text = (ROOT / "docs/benchmarks.md").read_bytes()

    assert page.replaced(text, "x")


# ------------------------------------------------------------------------------------------ corpus, processes


@pytest.mark.slow
def test_the_questions_are_all_different_and_enough_for_the_longest_run(tmp_path: Path):
    from evals.bench.answering import _WARM, LATE

    items = corpus.described()
    asked = corpus.questions(items)

    assert len(set(asked)) == len(asked) >= LATE + _WARM
    assert asked == corpus.questions(corpus.described())
    assert all(0 < len(text) <= 1000 for text in asked)
    written = corpus.write(tmp_path, items, chars=20_000)
    assert 1 <= written == len(list(tmp_path.glob("*.md"))) < 60


def test_a_child_is_stopped_whatever_happens(tmp_path: Path):
    command = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"]

    with pytest.raises(KeyboardInterrupt), children.process(command, env=children.environment(), cwd=tmp_path) as child:
        raise KeyboardInterrupt

    assert child.poll() is not None


def test_a_child_sees_none_of_the_developers_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CITEWELL_MODEL", "openai/dear")

    env = children.environment(CITEWELL_HOME="h")

    assert "CITEWELL_MODEL" not in env
    assert env["CITEWELL_HOME"] == "h"


def test_the_servers_modules_bring_no_heavy_library_with_them():
    from evals.bench.starting import imported

    assert imported() == []


def test_a_load_travels_between_processes_as_it_is():
    load = Load(8, 10, 1.5, 2.0, 3.0, 1, "OSError: x")

    assert Load(**load.as_json()) == load


@pytest.mark.slow
def test_a_small_run_of_every_part(tmp_path: Path):
    from evals.bench import again, ingesting, remembering, searching, starting
    from evals.bench import answering as answers

    few = dict.fromkeys(answers.REQUESTS, 6)
    with pytest.MonkeyPatch.context() as patch, workshop.opened(pages_chars=15_000) as shop:
        patch.setattr(answers, "REQUESTS", few)
        patch.setattr(answers, "CHUNKS", 300)
        patch.setattr(answers, "PROMPTS", 20)
        patch.setattr(searching, "QUERIES", 5)
        patch.setattr(again, "DOCUMENTS", 100)
        patch.setattr(again, "_CHANGED", 1)
        patch.setattr(remembering, "FEW", 500)
        patch.setattr(remembering, "SOME", 700)
        patch.setattr(remembering, "MANY", 1_000)
        rows = [
            *ingesting.measure(shop, rounds=1),
            *again.measure(shop, rounds=1),
            *starting.measure(shop, rounds=1),
            *remembering.measure(shop),
            *searching.measure(shop, sizes=[500], rounds=1),
            *answers.measure(shop, rounds=1, late=30),
        ]
        home = shop.folder

    assert not home.exists()
    named = "\n".join(row.what for row in rows)
    for part in (
        "ingest",
        "start until ready",
        "search, 500 chunks, half of them filtered out, p95",
        "1 % changed",
        "memory of an index of 1,000",
        "answer, 32 callers, a second",
        "p50 over its parts",
    ):
        assert part in named
    assert "memory after 30 answers" in named
    left = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False)
    assert not left.stdout.strip(), "a process was left behind"
