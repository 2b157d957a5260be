"""Durations -> percentiles, and runs -> their median: the arithmetic of a benchmark."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all values do not exceed (nearest rank).

    Raises:
        ValueError: There are no values, or the share is none.
    """
    if not values or not 0 < share <= 1:
        raise ValueError("a percentile needs values, and a share above 0 and up to 1")
    return sorted(values)[math.ceil(share * len(values)) - 1]


@dataclass(frozen=True, slots=True)
class Load:
    """What N callers saw, each asking again as soon as it was answered."""

    callers: int
    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    errors: int
    first_error: str | None = None

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Return it as one process hands it to another."""
        return asdict(self)


class Failed(Exception):
    """A part could not be measured; a run with an error in it has no figures."""


def whole(load: Load) -> Load:
    """Return the load if every request of it was answered.

    Raises:
        Failed: One was not. A fast error would pass for a fast answer.
    """
    if load.errors:
        raise Failed(f"{load.errors} of {load.requests} requests failed at {load.callers} callers; the first: {load.first_error}")
    return load


def timed(work: Callable[[int], object], numbers: Sequence[int]) -> list[float]:
    """Return the milliseconds of each call, one after the other."""
    took: list[float] = []
    for number in numbers:
        began = time.perf_counter()
        work(number)
        took.append((time.perf_counter() - began) * 1000)
    return took


def middle(values: Sequence[float]) -> float:
    """Return the median; of two values that is their mean."""
    return float(median(values))


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    what: str
    figure: str
    bare: str = ""
    ratio: str = ""
    aim: str = ""
    runs: int = 1

    def line(self) -> str:
        """Return it in Markdown."""
        return f"| {self.what} | {self.figure} | {self.bare} | {self.ratio} | {self.aim} | {self.runs} |"


HEAD = "| what | ours | bare | ratio | aim | runs |\n| --- | --- | --- | --- | --- | --- |"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as one Markdown table."""
    return "\n".join([HEAD, *(row.line() for row in rows)])
