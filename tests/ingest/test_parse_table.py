"""Rows, and the values of CSV: a row is a line, and a long table says its header again."""

import pytest

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import parse, sniff
from ingest.parse.blocks import Text, assemble
from ingest.parse.table import rows


def text_of(table: list[list[str]]) -> str:
    return assemble(Text(list(rows(table))), fallback="x", parser="x").text


def csv(source: str, suffix: str = ".csv") -> str:
    raw = source.encode()
    return parse(Item("a.csv", "s/a.csv", raw, sniff(raw, suffix))).text


def test_a_row_is_a_line_and_an_empty_one_parts_tables():
    assert text_of([["a", " b\nc ", ""], ["", ""], ["", "d", "", "e"], ["", "f"]]) == "a | b c\n\nd |  | e\nf"


def test_a_long_table_repeats_its_header_and_loses_no_row():
    table = [["Plan", "Price"], *[[f"Plan number {n}", f"{n} EUR"] for n in range(200)]]

    parts = text_of(table).split("\n\n")

    assert len(parts) > 5
    assert all(part.startswith("Plan | Price\n") and len(part) < 500 for part in parts)
    assert [line for part in parts for line in part.split("\n")[1:]] == [" | ".join(cells) for cells in table[1:]]


@pytest.mark.parametrize(
    "head",
    [
        ["Anna", "Köln"],  # no column of numbers below: it may be a row like the others
        ["Plan", "2024"],
        ["Plan", "Plan"],
        ["Plan", "Price " * 40],
    ],
)
def test_a_row_that_may_be_no_header_is_not_repeated(head: list[str]):
    below = [["Berta", "Bonn"]] * 100 if head[0] == "Anna" else [["x", f"{n},5 %"] for n in range(100)]

    assert text_of([head, *below]).count(" | ".join(head).strip()) == 1


def test_a_title_above_the_header_is_not_taken_for_it():
    found = text_of([["Prices of 2026"], ["Plan", "Since"], *[["Plan", "2024-03-01"]] * 100])

    assert found.startswith("Prices of 2026\nPlan | Since\n")
    assert found.count("Prices") == 1
    assert found.count("Since") > 2


@pytest.mark.parametrize(
    "source",
    [
        'Name,Note\nAnna,"one, two"\n',
        'Name;Note\nAnna;"one, two"\n',
        "Name\tNote\nAnna\tone, two\n",
        "sep=|\nName|Note\nAnna|one, two\n",
        "\ufeffName;Note\r\nAnna;one, two\r\n",
    ],
)
def test_the_delimiter_is_found(source: str):
    assert csv(source) == "Name | Note\nAnna | one, two"


def test_decimal_commas_and_short_rows_do_not_hide_the_delimiter():
    assert csv("1,5;2,5\n3,5;4,5\n") == "1,5 | 2,5\n3,5 | 4,5"
    assert csv("id;note\n1;a\n2\n3;b;c\n4;x, y\n") == "id | note\n1 | a\n2\n3 | b | c\n4 | x, y"


def test_a_single_column_is_lines():
    assert csv("Name\nAnna\n\nBerta\n") == "Name\nAnna\n\nBerta"


def test_a_quote_that_nothing_closes_loses_nothing():
    source = 'id,size\n1,"5 inch\n' + "".join(f"{n},{'x' * 60}\n" for n in range(3000))

    assert '1 | "5 inch\n0 | xx' in csv(source)


def test_what_is_no_table_is_refused():
    with pytest.raises(DocumentRefused) as refused:
        csv(f'"{"x" * 200_000}')

    assert refused.value.reason == "corrupt"
