"""Measures against floors -> a verdict: pass, fail or error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evals.metrics import Measure, Scored
from evals.suite import Floor

Verdict = Literal["pass", "fail", "error"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What a run came to."""

    verdict: Verdict
    broken: tuple[Floor, ...]
    untaken: tuple[Floor, ...]
    """Floors under a measure that could not be taken: there was nothing to take it of."""
    errors: int


def judge(measures: Mapping[str, Measure], floors: Sequence[Floor], scored: Sequence[Scored]) -> Gate:
    """Return the verdict: error when a case ended in one or a floor's measure could not be taken, else fail when a floor broke."""
    values = {floor: measures[floor.metric].value for floor in floors}
    untaken = tuple(floor for floor, value in values.items() if value is None)
    broken = tuple(floor for floor, value in values.items() if value is not None and not floor.holds(value))
    errors = sum(one.status is None for one in scored)
    verdict: Verdict = "error" if errors or untaken else "fail" if broken else "pass"
    return Gate(verdict, broken, untaken, errors)
