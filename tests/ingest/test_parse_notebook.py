"""Notebooks: Markdown, code and what it printed; no pictures, no tracebacks, no progress bars."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse, sniff


def read(source: object) -> Parsed:
    raw = source if isinstance(source, bytes) else nbformat.writes(source).encode()
    assert sniff(raw, ".ipynb") == ".ipynb"
    return parse(Item("a.ipynb", "s/a.ipynb", raw, ".ipynb"))


def test_cells_are_read_in_order_and_code_stays_as_it_is():
    found = read(
        new_notebook(
            cells=[
                new_markdown_cell("# Analysis\n\nWe load the *data*."),
                new_code_cell("for x in y:\n    # not a heading\n    print(x)", outputs=[new_output("stream", text="1\n2\n")]),
                new_markdown_cell("![a picture](x.png)"),
                new_raw_cell("raw"),
                new_markdown_cell("- one\n- two"),
            ]
        )
    )

    assert found.text == (
        "Analysis\n\nWe load the data.\n\nfor x in y:\n    # not a heading\n    print(x)\n\n1\n2\n\na picture\n\n- one\n- two"
    )
    assert [heading.title for heading in found.headings] == ["Analysis"]
    assert found.title == "Analysis"


def test_outputs_are_read_where_they_are_text():
    outputs = [
        new_output("execute_result", {"text/plain": "42", "text/html": "<b>42</b>"}),
        new_output("display_data", {"text/plain": "<Figure size 640x480>", "image/png": "iVBORw0KGgo="}),
        new_output("display_data", {"text/plain": "HBox()", "application/vnd.jupyter.widget-view+json": {}}),
        new_output("error", ename="ValueError", evalue="no such column", traceback=["a\x1b[31mb"]),
        new_output("stream", text="  1%\r 50%\r100%\nloss \x1b[1m0.1\x1b[0m\r\n"),
    ]

    found = read(new_notebook(cells=[new_code_cell("train()", outputs=outputs)], metadata={"title": "Run"}))

    assert found.text == "train()\n\n42\n\nValueError: no such column\n\n100%\nloss 0.1"
    assert found.title == "Run"


def test_a_day_s_log_is_cut_at_a_line():
    log = "".join(f"step {n}\n" for n in range(10_000))

    found = read(new_notebook(cells=[new_code_cell("train()", outputs=[new_output("stream", text=log)]), new_code_cell("end()")]))

    assert len(found.text) < 11_000
    assert found.text.endswith("\n\nend()")
    assert all(line.startswith("step ") for line in found.text.split("\n")[2:-2])


def test_an_old_notebook_is_read_like_one_of_today():
    cells = [{"cell_type": "heading", "level": 2, "metadata": {}, "source": ["Old"]},
             {"cell_type": "code", "language": "python", "metadata": {}, "collapsed": False, "input": ["x = 1"], "outputs": []}]  # fmt: skip
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells, "metadata": {}}]}

    assert read(json.dumps(old).encode()).text == "Old\n\nx = 1"


@pytest.mark.parametrize(
    "raw", [b'{"cells": [{"cell', b"[]", b'"x"', b"{}", b'{"nbformat": 4}', b'{"nbformat": 9, "cells": []}', b"<html>"]
)
def test_what_is_no_notebook_is_refused(raw: bytes):
    with pytest.raises(DocumentRefused) as refused:
        read(raw)

    assert refused.value.reason == "corrupt"
