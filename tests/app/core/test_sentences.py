"""Law 1 begins here: the units of a streamed text are those of the whole text, however it was cut."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.sentences import MOST_WORDS, Segmenter, spans

# Pieces that meet every rule; joined at random they make texts that a fixed corpus would not.
FRAGMENTS = st.sampled_from(
    [
        "It is kept", "Dr", "St", "No", "e.g", "U.S", "W", "v1.2", "3", "word", "iOS", "The", "a", "7", ".", "!", "?", "...", "。", "？",
        " ", "  ", "\n", "\n\n", "[1]", "[12]", "[1, 2]", "[1-3]", "[", "]", ",", " | ", "|", "- ", "* ", "1. ", "``", "''", "`", "```",
        "```py\n", '"', "'", "(", ")", "”", "“", "**", "»", " .", "é", "今天", "\u2028", "\t", "-", "x" * 30, "x" * 1200, " w" * 101, "[1", "2]",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.lists(FRAGMENTS, max_size=60).map("".join), st.text(max_size=80))


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in spans(text)]


def streamed(text: str, cuts: list[int]) -> list[str]:
    segmenter, units, at = Segmenter(), [], 0
    for end in [*sorted(min(c, len(text)) for c in cuts), len(text)]:
        units += segmenter.feed(text[at:end])
        at = end
    return units + segmenter.finish()


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 400), max_size=40))
def test_units_do_not_depend_on_the_cut(text: str, cuts: list[int]) -> None:
    whole = streamed(text, [])
    assert "".join(whole) == text
    assert streamed(text, cuts) == whole
    assert streamed(text, list(range(len(text)))) == whole


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_spans_cover_everything_visible_in_order(text: str) -> None:
    ranges = spans(text)
    at = 0
    for start, end in ranges:
        assert at <= start < end
        assert text[at:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        at = end
    assert text[at:].strip() == ""


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_a_unit_is_one_or_more_whole_spans(text: str) -> None:
    ends, at = {end for _, end in spans(text)}, 0
    for unit in streamed(text, []):
        at += len(unit)
        assert len(text[:at].rstrip()) in ends or not text[:at].strip()


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("He lived in St. Louis. It was No. 14.", ["He lived in St. Louis.", "It was No. 14."]),
        ("President Charles W. Eliot came, e.g. by Dr. Who.", ["President Charles W. Eliot came, e.g. by Dr. Who."]),
        ("The answer is No. Next one.", ["The answer is No.", "Next one."]),
        ("In the U.S. Army. In the U.S. The army.", ["In the U.S. Army.", "In the U.S.", "The army."]),
        ("Version 1.2.3 costs 3.5 at example.com. Next.", ["Version 1.2.3 costs 3.5 at example.com.", "Next."]),
        ("Is it? Yes! Then... and Then.", ["Is it?", "Yes!", "Then... and Then."]),
        ("A word . Next '' . '' Then ( 1775 ) . End", ["A word .", "Next '' . ''", "Then ( 1775 ) .", "End"]),
        ('He said "Yes." Then he left. (He did.) End', ['He said "Yes."', "Then he left.", "(He did.)", "End"]),
        ("今天好。明天！「好。」他", ["今天好。", "明天！", "「好。」", "他"]),
        ("A heading\nA line without a stop\n\nA paragraph.", ["A heading", "A line without a stop", "A paragraph."]),
        ("7. Title of it\n8. Other", ["7. Title of it", "8. Other"]),
        ("Step 2. Press it. Done.", ["Step 2. Press it.", "Done."]),
        ("- one\n- two. Three.", ["- one", "- two.", "Three."]),
        ("Role | May do\nOwner | All. Really. | x\n", ["Role | May do", "Owner | All. Really. | x"]),
        ("Do this:\n```py\na. B\n\nc\n```\nThen `a. B` runs.", ["Do this:", "```py\na. B\n\nc\n```", "Then `a. B` runs."]),
        ("It is kept. [12] Next [1][2]. And. [1, 2] End [1-3].", ["It is kept. [12]", "Next [1][2].", "And. [1, 2]", "End [1-3]."]),
        ("It is kept.[1]Next.", ["It is kept.[1]", "Next."]),
        ("It is kept.\n[1]\nNext.", ["It is kept.\n[1]", "Next."]),
        ("Sources:\n[1] A book", ["Sources:", "[1] A book"]),
        ("He left in 1990. Yahoo! (2005) grew.", ["He left in 1990.", "Yahoo! (2005) grew."]),
    ],
)  # fmt: skip
def test_spans(text: str, units: list[str]) -> None:
    assert cut(text) == units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("It is kept. [12] Next", ["It is kept. [12]", " Next"]),
        ("- a. b. C d. [1]\n- e", ["- a. b. C d. [1]", "\n- e"]),
        ("A | B\n--- | ---\nx | y [1]\n\nc | d", ["A | B\n--- | ---\nx | y [1]", "\n\nc | d"]),
        ("A | B\nx | y\nThen.", ["A | B\nx | y", "\nThen."]),
        ("See:\n```\na. B\n\nc\n```\n[1]\nNext", ["See:", "\n```\na. B\n\nc\n```\n[1]", "\nNext"]),
        ("One.\n\n", ["One.\n\n"]),
        ("  \n", ["  \n"]),
        ("", []),
    ],
)
def test_units_of_an_answer(text: str, units: list[str]) -> None:
    assert streamed(text, []) == units
    assert streamed(text, list(range(len(text)))) == units


def test_a_unit_leaves_as_soon_as_the_next_has_begun() -> None:
    segmenter = Segmenter()
    assert segmenter.feed("Logs are kept. [1]") == []
    assert segmenter.feed(" Exports") == []  # a marker or an abbreviation could still come
    assert segmenter.feed(" are not.") == ["Logs are kept. [1]"]
    assert segmenter.finish() == [" Exports are not."]


def test_a_run_without_a_stop_is_cut_by_length() -> None:
    words = [f"w{i}" for i in range(3 * MOST_WORDS)]
    assert [len(unit.split()) for unit in cut(" ".join(words))] == [MOST_WORDS] * 3
    words[80] += ","
    assert [len(unit.split()) for unit in cut(" ".join(words))] == [81, 100, 100, 19]
    assert max(len(unit) for unit in cut("字" * 5000)) <= 1200


def test_time_grows_with_the_text_and_not_with_its_square() -> None:
    def seconds(text: str) -> float:
        segmenter, began = Segmenter(), time.perf_counter()
        for char in text:
            segmenter.feed(char)
        segmenter.finish()
        return time.perf_counter() - began

    sentence = "The logs of the service are kept for some 365 days. [1] "
    small, large = (min(seconds(sentence * n) for _ in range(3)) for n in (20, 160))
    assert large < 8 * small * 3  # the square would be 64 times
