"""The table's place in a page: what stands between two comments is replaced, every other byte stays."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from evals.bench.children import ROOT
from evals.bench.figures import Failed, Row, table

BEGIN, END = "<!-- bench:start -->", "<!-- bench:end -->"


def replaced(page: bytes, section: str) -> bytes:
    """Return the page with another section between the two comments.

    Raises:
        Failed: It does not hold each comment once, in this order.
    """
    begin, end = BEGIN.encode(), END.encode()
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise Failed(f"The page must hold {BEGIN} and {END} once, in this order.")
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    return b"%b%b\n%b\n%b%b" % (head, begin, section.strip().encode(), end, tail)


def section(rows: Sequence[Row], command: str) -> str:
    """Return the table with how it was obtained."""
    when = datetime.now(UTC).date().isoformat()
    load = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"`{command}`, {when}, version {_version()}; {_machine()}, Python {platform.python_version()}. "
        f"Load average when it ended (its own work included): {load}.\n\n{table(rows)}"
    )


def write(page: Path, rows: Sequence[Row], command: str) -> None:
    """Put the table into a page."""
    page.write_bytes(replaced(page.read_bytes(), section(rows, command)))


def _version() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return f"{version('citewell')} ({done.stdout.strip()})" if done.returncode == 0 else version("citewell")


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores ({model})"
