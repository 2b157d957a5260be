import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.gate import judge
from evals.metrics import NAMES, Scored, centre, mean, measure, proportion
from evals.suite import Floor


def scored(answerable: bool, status: str | None, **more: object) -> Scored:
    return Scored("c", answerable, status, **more)  # type: ignore[arg-type]


CASES = [
    scored(True, "answered", words=10, right=True, cited=True, hit=True, ndcg=1.0, claims=2, supported=2, ms=10),
    scored(True, "answered", words=20, right=True, hit=True, ndcg=0.5, claims=1, unsupported=1, ms=20),
    scored(True, "degraded", words=30, hit=False, ndcg=0.0, ms=30),
    scored(True, "abstained", hit=True, ndcg=1.0, ms=40),
    scored(True, None, code="model_timeout", cost_nano=5),
    scored(False, "abstained", ms=50),
    scored(False, "answered", words=40, cost_nano=7, ms=60),
]


def test_errors_are_a_column_and_count_as_not_right():
    found = {name: (one.value, one.of) for name, one in measure(CASES).items()}

    assert found["right"] == (pytest.approx(2 / 3, abs=1e-4), 3)
    assert found["cited"] == (pytest.approx(1 / 3, abs=1e-4), 3)
    assert found["right_overall"] == (0.4, 5)
    assert found["words"] == (25, 4)
    assert found["hit"] == (0.6, 5)
    assert found["ndcg@10"] == (0.5, 5)
    assert (found["abstention_precision"], found["abstention_recall"], found["answerable_refused"]) == (
        (0.5, 2),
        (0.5, 2),
        (0.2, 5),
    )
    assert (found["supported"], found["unsupported"]) == (
        (pytest.approx(2 / 3, abs=1e-4), 3),
        (pytest.approx(1 / 3, abs=1e-4), 3),
    )
    assert found["errors"] == (1, 7)
    assert found["cost_usd"] == (12e-9, 7)
    assert found["p50_ms"] == (35, 6)


def test_what_can_not_be_taken_is_none_and_never_zero():
    found = measure([scored(True, None, code="x")])

    assert (found["right"].value, found["words"].value, found["p50_ms"].value) == (None, None, None)
    assert found["right_overall"].value == 0
    assert found["errors"].value == 1


def test_a_proportion_has_wilsons_interval():
    assert (proportion(0, 10).low, proportion(10, 10).high) == (0, 1)
    found = proportion(45, 50)
    assert (found.value, found.low, found.high) == (0.9, 0.7864, 0.9565)  # as published for 45 of 50


@given(st.integers(1, 500).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole))))
def test_an_interval_holds_its_value(part_of: tuple[int, int]):
    found = proportion(*part_of)

    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= round(part_of[0] / part_of[1], 4) <= found.high <= 1


def test_a_wilson_interval_holds_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(7).binomial(40, 0.8, 2000)
    held = [(one := proportion(int(part), 40)).low <= 0.8 <= one.high for part in draws]  # type: ignore[operator]

    assert 0.92 < np.mean(held) < 0.985


def test_bootstraps_are_the_same_each_time():
    values = [0.0, 1.0, 1.0, 0.5, 0.25]

    assert mean(values) == mean(values)
    assert mean(values).value == 0.55
    assert centre([1, 2, 3], 50).value == 2


def floor(text: str) -> Floor:
    metric, sign, limit = text.split()
    return Floor(metric, sign, float(limit))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cases", "floors", "verdict"),
    [
        (CASES[:4], ["right >= 0.5"], "pass"),
        (CASES[:4], ["right >= 0.9"], "fail"),
        (CASES[:4], ["answerable_refused <= 0.1"], "fail"),
        (CASES, ["right >= 0.5"], "error"),
        (CASES[:4], ["abstention_recall >= 0.5"], "error"),
        (CASES[:4], [], "pass"),
    ],
)
def test_a_verdict_is_pass_fail_or_error(cases: list[Scored], floors: list[str], verdict: str):
    assert judge(measure(cases), [floor(text) for text in floors], cases).verdict == verdict


def test_every_measure_is_explained_in_the_report():
    from evals.report import _WORDS

    assert tuple(_WORDS) == NAMES
