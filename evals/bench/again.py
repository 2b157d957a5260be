"""The same pages ingested again: unchanged, and with one in a hundred changed, over the first time; each from process start."""

import subprocess
import sys
import time
from pathlib import Path

from evals.bench.children import environment
from evals.bench.corpus import Described
from evals.bench.figures import Failed, Row, middle
from evals.bench.workshop import Workshop

DOCUMENTS = 2_000
_CHANGED = DOCUMENTS // 100
_LENGTHS = {"one item long": 1, "3,500 characters long": 3_500}
"""The shortest pages, which cost most beside their embedding; and pages as long as the documents of retrieval-aws-docs are."""


def measure(workshop: Workshop, *, rounds: int) -> list[Row]:
    """Measure each length of pages."""
    return [row for name, chars in _LENGTHS.items() for row in _pages(workshop, name, chars, rounds)]


def _pages(workshop: Workshop, length: str, chars: int, rounds: int) -> list[Row]:
    """Ingest, ingest again, change one in a hundred and ingest again, by the command."""
    first: list[float] = []
    same: list[float] = []
    changed: list[float] = []
    for number in range(rounds):
        home = workshop.folder / f"again-{chars}-{number}"
        pages = home / "pages"
        _write(pages, workshop.items, chars)
        (home / "home/cache").mkdir(parents=True)
        for exported in workshop.settings.cache_dir.glob("*.onnx"):  # made once a machine, in seconds that would flatter us
            (home / "home/cache" / exported.name).symlink_to(exported)
        first.append(_ingest(home, pages))
        same.append(_ingest(home, pages))
        for item in range(_CHANGED):
            path = pages / f"{item * 97 % DOCUMENTS:04}.md"
            path.write_text(
                path.read_text(encoding="utf-8") + f"\n\nChanged in round {number}: see page {item}.\n", encoding="utf-8"
            )
        changed.append(_ingest(home, pages))
    what = f"ingest of {DOCUMENTS:,} pages {length} again"
    return [
        Row(
            f"{what}, {name}, s",
            f"{middle(took):.2f}",
            f"{middle(first):.1f} (the first time)",
            f"{_share(took, first):.3f}",
            aim,
            rounds,
        )
        for name, took, aim in (("unchanged", same, "<= .02"), ("1 % changed", changed, "<= .05"))
    ]


def _write(folder: Path, items: list[Described], chars: int) -> None:
    """Write pages of so many characters or one item, whichever is more; under their own titles, few chunks are embedded alike."""
    folder.mkdir(parents=True)
    for number in range(DOCUMENTS):
        page, position = f"# {items[number].name}\n", number
        while position == number or len(page) < chars:
            page += f"\n{items[position % len(items)].text}\n"
            position += 1
        (folder / f"{number:04}.md").write_text(page, encoding="utf-8")


def _ingest(home: Path, pages: Path) -> float:
    env = environment(CITEWELL_HOME=str(home / "home"), CITEWELL_INDEXES_DIR=str(home / "indexes"))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "ingest", str(pages)], env=env, cwd=home, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"An ingest failed: {done.stderr[-2000:]}")
    return time.perf_counter() - began


def _share(took: list[float], first: list[float]) -> float:
    return middle([mine / whole for mine, whole in zip(took, first, strict=True)])
