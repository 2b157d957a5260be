"""Searches over HTTP while snapshots are published: none may fail, and what a swap costs those who wait is seen in the tail."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson

from app.core import snapshot
from evals.bench import children
from evals.bench.figures import Failed, Row, middle, whole
from evals.bench.workshop import Workshop, grown
from ingest.publish import publish

COLLECTION = "swapped"
CHUNKS = 5_000
CALLERS = 8
REQUESTS = 2_000
EVERY_S = 1.5
"""A server looks once a second; none of these is missed."""


def measure(workshop: Workshop, *, rounds: int) -> list[Row]:
    """Search with and without snapshots being published, in turn."""
    both = _two_snapshots(workshop)
    bodies = workshop.folder / "searches.jsonl"
    bodies.write_bytes(
        b"\n".join(orjson.dumps({"query": text, "collection": COLLECTION, "k": 10}) for text in workshop.questions)
    )
    quiet: list[float] = []
    busy: list[float] = []
    swaps = asked = 0
    with (
        children.server(workshop.folder, workshop.environment) as server,
        children.measurer("load", server.url + "/v1/search", str(bodies), folder=workshop.folder) as client,
    ):
        whole(client(callers=CALLERS, first=0, requests=200))
        for _ in range(rounds):
            quiet.append(whole(client(callers=CALLERS, first=asked, requests=REQUESTS)).p95_ms)
            before = _served(workshop.folder)
            with _Publishing(workshop.settings.indexes_dir, both):
                busy.append(whole(client(callers=CALLERS, first=asked + REQUESTS, requests=REQUESTS)).p95_ms)
            swaps += _served(workshop.folder) - before
            asked += 2 * REQUESTS
    if not swaps:
        raise Failed("No snapshot was swapped in while searches ran.")
    return [
        Row(
            f"searches that failed while {swaps} snapshots were swapped in, {CALLERS} callers",
            "0",
            f"{rounds * REQUESTS:,} (searches)",
            "",
            "0",
            rounds,
        ),
        Row(
            f"search over HTTP, {CALLERS} callers, while snapshots are swapped in, p95, ms",
            f"{middle(busy):.1f}",
            f"{middle(quiet):.1f} (none swapped in)",
            f"{middle([a / b for a, b in zip(busy, quiet, strict=True)]):.2f}",
            "",
            rounds,
        ),
    ]


def _two_snapshots(workshop: Workshop) -> tuple[str, str]:
    """Publish one, and another of it without every tenth document."""
    root = workshop.settings.indexes_dir
    first = grown(workshop, COLLECTION, CHUNKS)
    parts = [(s, kept & (np.arange(len(kept)) % 10 > 0)) for s, kept in zip(first.segments, first.kept, strict=True)]
    notes = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "sources": {}}
    made, _ = publish(root, COLLECTION, parts, built_with=first.built_with, notes=notes, known=first.segments)
    return first.snapshot_id, made.snapshot_id


def _served(folder: Path) -> int:
    """Return how often a snapshot was taken up, by the server's log."""
    lines = (folder / "server.log").read_text(encoding="utf-8").splitlines()
    return sum(f'"collection":"{COLLECTION}"' in line.replace(": ", ":") and '"live"' in line for line in lines)


class _Publishing:
    """Publishes two snapshots in turn, until it is left."""

    def __init__(self, root: Path, both: tuple[str, str]) -> None:
        self._root, self._both = root, both
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(EVERY_S):
            snapshot.publish(self._root, COLLECTION, self._both[turn % 2])
            turn += 1
