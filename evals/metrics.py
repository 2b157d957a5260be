"""Scored cases -> measures with their intervals. An error is a column of its own: never a zero, never dropped."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_Z = 1.959964
"""Of a two-sided interval of 95 %."""
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Scored:
    """One case and what came of it."""

    case: str
    answerable: bool
    status: str | None
    """None when there was no body: an error."""
    code: str | None = None
    """What the error was."""
    message: str = ""
    hit: bool | None = None
    """Whether the model was given the evidence; None where there is none to give, or it was never given anything."""
    ndcg: float | None = None
    words: int = 0
    right: bool = False
    cited: bool = False
    supported: int = 0
    """Claims that stand verbatim in their evidence, or follow from it."""
    unsupported: int = 0
    claims: int = 0
    cost_nano: int = 0
    ms: float = 0.0
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """A value with its 95 % interval, and of how many it is taken; ``value`` is None where there is nothing to take it of."""

    value: float | None
    low: float | None
    high: float | None
    of: int

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


def measure(scored: Sequence[Scored]) -> dict[str, Measure]:
    """Return every measure of a set of cases, by name, in DESIGN's words.

    Right and cited are of answered answerable cases, hit and right overall of all answerable ones. An error counts as not hit
    and not right there.
    """
    able = [s for s in scored if s.answerable]
    said = [s for s in scored if s.status in ("answered", "degraded")]
    mute = [s for s in scored if s.status == "abstained"]
    on_able = [s for s in said if s.answerable]
    bodies = [s for s in scored if s.status is not None]
    claims = sum(s.claims for s in said)
    return {
        "hit": share([bool(s.hit) for s in able]),
        "ndcg@10": mean([s.ndcg or 0.0 for s in able]),
        "right": share([s.right for s in on_able]),
        "cited": share([s.right and s.cited for s in on_able]),
        "words": centre([s.words for s in said], 50),
        "right_overall": share([s.right and s in said for s in able]),
        "abstention_precision": share([not s.answerable for s in mute]),
        "abstention_recall": share([s.status == "abstained" for s in scored if not s.answerable]),
        "answerable_refused": share([s.status == "abstained" for s in able]),
        "supported": proportion(sum(s.supported for s in said), claims),
        "unsupported": proportion(sum(s.unsupported for s in said), claims),
        "errors": Measure(float(len(scored) - len(bodies)), None, None, len(scored)),
        "cost_usd": Measure(sum(s.cost_nano for s in scored) / 1e9, None, None, len(scored)),
        "p50_ms": centre([s.ms for s in bodies], 50),
        "p95_ms": centre([s.ms for s in bodies], 95),
    }


def share(held: Sequence[bool]) -> Measure:
    """Return the share that holds, with its interval."""
    return proportion(sum(held), len(held))


def proportion(part: int, whole: int) -> Measure:
    """Return part of whole with Wilson's interval, which is honest for few cases and for shares near 0 and 1."""
    if not whole:
        return Measure(None, None, None, 0)
    p, z2 = part / whole, _Z * _Z
    middle = (p + z2 / (2 * whole)) / (1 + z2 / whole)
    half = _Z * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole * whole)) / (1 + z2 / whole)
    return Measure(round(p, 4), round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4), whole)


def mean(values: Sequence[float]) -> Measure:
    """Return a mean with a bootstrap interval (fixed seed: the same cases give the same interval)."""
    return _bootstrap(values, lambda drawn: drawn.mean(axis=1))


def centre(values: Sequence[float], percent: float) -> Measure:
    """Return a percentile with a bootstrap interval."""
    return _bootstrap(values, lambda drawn: np.percentile(drawn, percent, axis=1))


def _bootstrap(values: Sequence[float], statistic: Callable[[Any], Any]) -> Measure:
    if not values:
        return Measure(None, None, None, 0)
    taken = np.asarray(values, dtype=float)
    drawn = taken[np.random.default_rng(1).integers(0, len(taken), (_DRAWS, len(taken)))]
    low, high = np.percentile(statistic(drawn), [2.5, 97.5])
    return Measure(round(float(statistic(taken[None])[0]), 4), round(float(low), 4), round(float(high), 4), len(taken))


NAMES = tuple(measure([]))
"""The names of all measures, as floors and reports use them."""
