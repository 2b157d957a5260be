"""What the extractive model writes is prose and lines that can be read and checked."""

from app.core.sentences import Segmenter
from app.model.extract import Pick
from app.model.extractive import _compose


def units(text: str) -> list[str]:
    segmenter = Segmenter()
    return [unit.strip() for unit in [*segmenter.feed(text), *segmenter.finish()]]


def test_a_line_of_code_an_item_and_a_row_stand_on_lines_of_their_own():
    picks = [
        Pick(1, "Make a key first."),
        Pick(2, "citewell keys create --name website"),
        Pick(2, "The key is printed once."),
        Pick(3, "- It begins with cw_"),
        Pick(4, "scope | what it allows"),
        Pick(1, "Then serve."),
    ]

    text = _compose(picks)

    assert text == (
        "Make a key first [1].\ncitewell keys create --name website [2]\n\nThe key is printed once [2].\n"
        "- It begins with cw_ [3]\n\nscope | what it allows [4]\n\nThen serve [1]."
    )
    assert len(units(text)) == len(picks)


def test_a_marker_stands_before_the_stop_and_what_closes_with_it():
    assert _compose([Pick(1, "He said “never.”"), Pick(2, "(It was late.)")]) == "He said “never [1].” (It was late [2].)"
