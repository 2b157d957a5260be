"""Markers: what a model writes is read generously, and what we leave is what others read."""

import importlib.util
import re
import time
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import markers

PIECES = st.sampled_from(
    ["[1]", "[2]", "[12]", "[1, 2]", "[1;2]", "[1-3]", "[2–4]", "[[1]]", "[", "]", "1", "23", ",", "-", " ", "  ", "\n", "`", "``", "```",
     "word", "x", ".", "é", "[1234]", "[a]", "[0]"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=25).map("".join)


def numbers(text: str) -> list[tuple[int, ...]]:
    return [run.numbers for run in markers.find(text)]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("Kept [1].", [(1,)]),
        ("Kept [1][2] and sent [3].", [(1, 2), (3,)]),
        ("Kept [1] [2].", [(1,), (2,)]),
        ("Kept [1, 2].", [(1, 2)]),
        ("Kept [ 1;2 ].", [(1, 2)]),
        ("Kept [1-3].", [(1, 2, 3)]),
        ("Kept [1–3, 7].", [(1, 2, 3, 7)]),
        ("Kept [3-1].", [(3, 1)]),
        ("Kept [[4]].", [(4,)]),
        ("Kept [1][1, 1].", [(1,)]),
        ("In [2019] and [a] and [1.5] and []", []),
        ("`kept[1]` and ```\nx[2]\n``` but [3]", [(3,)]),
        ("a `lone tick [1]", [(1,)]),
        ("two ``ticks [1]``", [(1,)]),
        ("an ``` open fence [1]", [(1,)]),
    ],
)
def test_what_a_model_writes_for_markers_is_found(text: str, runs: list[tuple[int, ...]]):
    assert numbers(text) == runs


def test_a_range_names_at_most_twenty_passages():
    assert numbers("[1-999]") == [tuple(range(1, 21))]


def test_a_run_says_where_it_stands():
    (run,) = markers.find("Kept [1][2].")

    assert (run.start, run.end) == (5, 11)


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("as shown [12].", "as shown."),
        ("as shown [12] before", "as shown before"),
        ("as shown [12]before", "as shown before"),
        ("as shown [12], [13].", "as shown."),
        ("as shown [12] [13]; then", "as shown; then"),
        ("[12] First", "First"),
        ("one [1]\ntwo", "one\ntwo"),
        ("- [1] item", "- item"),
        ("`x[1]` too", "`x` too"),
        ("[[1]2] nested", "nested"),
        ("[2019] stays", "[2019] stays"),
    ],
)
def test_stripping_leaves_neither_marker_nor_gap(text: str, stripped: str):
    assert markers.strip(text) == stripped


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (["", "", "", ""], "a. b"),
        (["[1]", "", "", ""], "a [1]. b"),
        (["", "[1]", "", ""], "a [1]. b"),
        (["[1]", "", "[2]", ""], "a [1] [2]. b"),
        (["[1]", "[2]", "", "[3]"], "a [1], [2]; [3]. b"),
    ],
)
def test_a_removed_marker_takes_its_comma_and_space_along(shown: list[str], text: str):
    original = "a [7], [8] [9]; [10]. b"

    assert markers.rewrite(original, markers.find(original), shown) == text


@settings(max_examples=500)
@given(text=TEXTS)
def test_a_stripped_text_holds_no_marker_and_strips_to_itself(text: str):
    stripped = markers.strip(text)

    assert not markers.hidden(stripped)
    assert markers.strip(stripped) == stripped


@settings(max_examples=500)
@given(text=TEXTS)
def test_what_is_hidden_is_what_strip_removes_white_space_aside(text: str):
    hidden = markers.hidden(text)

    assert "".join("".join(c for i, c in enumerate(text) if i not in hidden).split()) == "".join(markers.strip(text).split())


@settings(max_examples=300)
@given(text=TEXTS)
def test_showing_every_marker_as_it_was_changes_nothing(text: str):
    runs = markers.find(text)

    assert markers.rewrite(text, runs, [text[run.start : run.end] for run in runs]) == text


@pytest.fixture(scope="module")
def probe() -> ModuleType:
    """The outsiders' reading, where it stands beside the checkout."""
    path = Path(__file__).parents[4] / "shared/tools/probe.py"
    if not path.is_file():
        pytest.skip("there is no shared/tools/probe.py beside this checkout")
    spec = importlib.util.spec_from_file_location("probe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_outsiders_read_the_same_numbers(probe: ModuleType):
    @settings(max_examples=300)
    @given(text=TEXTS)
    def check(text: str):
        theirs = [int(n) for run in probe.MARKER.findall(probe.CODE.sub("", text)) for n in re.findall(r"\d+", run)]
        assert markers.numbers(text) == theirs

    check()


@pytest.mark.parametrize(
    "text", ["[1]" + " " * 50_000, "[" * 50_000, " " * 50_000 + "[1]", "[1" + " " * 50_000, "[1, " * 12_000, "`" * 50_000, "[1] " * 12_000]
)  # fmt: skip
def test_no_text_takes_long(text: str):
    began = time.perf_counter()
    markers.find(text)
    markers.strip(text)
    markers.hidden(text)

    assert time.perf_counter() - began < 2
