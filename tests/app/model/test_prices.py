from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.config import Settings
from app.core.errors import Misconfigured, ModelUnpriced
from app.events import dollars_text
from app.model.prices import Price, PriceBook, open_book

TODAY = date(2026, 6, 1)


def book(tmp_path: Path, text: str = "models: {}\n") -> PriceBook:
    (tmp_path / "prices.yaml").write_text(text)
    return PriceBook(tmp_path / "prices.yaml", tmp_path / "overlay" / "prices.yaml")


def price(input: str, output: str) -> Price:
    return Price("m", TODAY, Decimal(input), Decimal(output))


def test_cost_is_whole_nano_dollars():
    assert price("0.15", "0.6").cost(812, 24) == 812 * 150 + 24 * 600
    assert price("0", "0").cost(10**9, 10**9) == 0
    assert price("0.0001", "0").cost(1, 0) == 1  # a tenth of a nano-dollar counts as one, never as nothing


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.decimals("0", "1000", places=4), st.decimals("0", "1000", places=4))
def test_cost_never_falls_with_tokens_and_is_exact_to_a_nano_dollar(prompt: int, completion: int, a: Decimal, b: Decimal):
    row = Price("m", TODAY, a, b)

    exact = (a * prompt + b * completion) * 1000
    assert 0 <= row.cost(prompt, completion) - exact < 1
    assert row.cost(prompt + 1, completion) >= row.cost(prompt, completion)


@given(st.integers(0, 10**15))
def test_money_is_written_from_the_integer(nano: int):
    assert Decimal(dollars_text(nano)) * 10**9 == nano
    assert "e" not in dollars_text(nano).lower()


def test_a_model_without_a_price_is_refused_with_the_command_that_sets_one(tmp_path: Path):
    with pytest.raises(ModelUnpriced, match="citewell prices set openai/x"):
        book(tmp_path).price("openai/x")


def test_the_row_in_force_is_the_newest_that_has_begun(tmp_path: Path):
    rows = book(
        tmp_path,
        "models:\n  m:\n    - {since: 2026-05-01, input: 2, output: 4}\n    - {since: 2026-01-01, input: 1, output: 2}\n    - {since: 2027-01-01, input: 9, output: 9}\n",
    )

    assert rows.price("m", TODAY).input == 2
    assert rows.price("m", date(2026, 2, 1)).input == 1
    with pytest.raises(ModelUnpriced):
        rows.price("m", date(2025, 1, 1))


def test_a_price_that_is_set_wins_keeps_its_history_and_is_seen_at_once(tmp_path: Path):
    rows = book(tmp_path, "models:\n  m:\n    - {since: 2026-01-01, input: 1, output: 2}\n")
    assert rows.price("m", TODAY).input == 1

    made = rows.set("m", input=Decimal("0.075"), output=Decimal("0.3"), since=TODAY)

    assert rows.price("m", TODAY) == made
    assert rows.price("m", date(2026, 2, 1)).input == 1
    assert made.sha256 != rows.price("m", date(2026, 2, 1)).sha256


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf", "1000001"])
def test_a_price_that_can_not_be_is_refused(tmp_path: Path, wrong: str):
    with pytest.raises(Misconfigured, match="not between 0"):
        book(tmp_path).set("m", input=Decimal(wrong), output=Decimal(1), since=TODAY)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "models: 3",
        "models: {m: [{since: 2026-01-01, input: 1}]}",
        "models: {m: [{since: x, input: 1, output: 1}]}",
        "models: {m: [{since: 2026-01-01, input: cheap, output: 1}]}",
        "{",
    ],
)
def test_a_malformed_book_stops_everything_rather_than_price_nothing(tmp_path: Path, text: str):
    with pytest.raises(Misconfigured):
        book(tmp_path, text).price("m")


def test_our_own_models_are_priced_and_hosted_ones_are_not(settings: Settings):
    shipped = open_book(settings)

    assert shipped.price("citewell/extractive").cost(10**6, 10**6) == 0
    assert all(name.startswith("citewell/") for name in shipped.rows())
