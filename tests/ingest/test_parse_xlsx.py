"""Excel: sheets are headings, values are as Excel shows them, hidden sheets stay hidden."""

import io
from collections.abc import Callable
from datetime import datetime, time, timedelta

import pytest
import xlsxwriter

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse, sniff


def made(fill: Callable[[xlsxwriter.Workbook], object]) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    fill(book)
    book.close()
    return out.getvalue()


def read(raw: bytes) -> Parsed:
    assert sniff(raw, ".xlsx") == ".xlsx"
    return parse(Item("prices.xlsx", "s/prices.xlsx", raw, ".xlsx"))


def test_sheets_are_headings_and_hidden_ones_are_not_read():
    def fill(book: xlsxwriter.Workbook) -> None:
        first, secret, last = book.add_worksheet("Prices"), book.add_worksheet("Secret"), book.add_worksheet("Notes")
        first.write_row("B2", ["Product", "Price"])
        first.write_row("B3", ["Widget", 19.5])
        secret.write("A1", "margin")
        secret.hide()
        last.write("A1", "All prices net.")
        last.write("A3", "Valid for a year.")
        book.add_worksheet("Empty")
        chart = book.add_chart({"type": "line"})
        chart.add_series({"values": "=Prices!$C$3:$C$3"})
        book.add_chartsheet("Chart").set_chart(chart)

    found = read(made(fill))

    assert found.text == "Prices\n\nProduct | Price\nWidget | 19.5\n\nNotes\n\nAll prices net.\n\nValid for a year."
    assert [(heading.title, heading.level) for heading in found.headings] == [("Prices", 2), ("Notes", 2)]
    assert found.title == "prices"


def test_the_title_is_the_one_in_the_properties():
    def fill(book: xlsxwriter.Workbook) -> None:
        book.set_properties({"title": "Price list"})
        book.add_worksheet("Sheet1").write("A1", "x")

    assert read(made(fill)).title == "Price list"


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (7, None, "7"),
        (0.1 + 0.2, None, "0.3"),
        (True, None, "TRUE"),
        (datetime(2024, 3, 1), "yyyy-mm-dd", "2024-03-01"),
        (datetime(2024, 3, 1, 10, 30), "yyyy-mm-dd hh:mm", "2024-03-01 10:30"),
        (time(9, 5), "hh:mm", "09:05"),
        (timedelta(hours=30, seconds=4), "[h]:mm:ss", "30:00:04"),
    ],
)
def test_values_are_shown_as_excel_shows_them(value: object, form: str | None, shown: str):
    def fill(book: xlsxwriter.Workbook) -> None:
        book.add_worksheet().write("A1", value, book.add_format({"num_format": form}) if form else None)

    assert read(made(fill)).text == f"Sheet1\n\n{shown}"


def test_a_formula_is_its_value_and_none_where_it_was_never_counted():
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write_formula("A1", "=1+1", None, 2)
        sheet.write_formula("B1", "=A1+1", None, "")
        sheet.write("C1", "end")

    assert read(made(fill)).text == "Sheet1\n\n2 |  | end"


def test_two_cells_at_opposite_corners_are_refused_before_the_reader_takes_all_between():
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "top")
        sheet.write(1_048_575, 16_383, "bottom")

    with pytest.raises(DocumentRefused, match="1,048,576 rows and 16,384 columns") as refused:
        read(made(fill))

    assert refused.value.reason == "too_large"


def test_a_far_cell_that_only_has_a_colour_is_no_obstacle():
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "top")
        sheet.write_blank(1_048_575, 16_383, None, book.add_format({"bg_color": "red"}))

    assert read(made(fill)).text == "Sheet1\n\ntop"
