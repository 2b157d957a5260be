import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import fold, normalise, visible


@given(st.text())
def test_normalised_text_is_nfc_with_lf_and_stays_as_it_is(text: str):
    once = normalise(text)

    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & set("\r\0\ufeff\u2028\x0b\x0c\ud800")
    once.encode()  # no lone surrogate is left


def test_all_line_ends_become_lf():
    assert normalise("a\r\nb\rc\u2028d") == "a\nb\nc\nd"


@pytest.mark.parametrize("text", ["", "  \n\t", "\u200b\u2060", "\u3164", "\u00ad", "\x00", "\u202e", "\ufeff"])
def test_text_that_shows_nothing_is_not_visible(text: str):
    assert not visible(text)


@pytest.mark.parametrize("text", ["a", "\u200bx", "数", "😀", "?", "e\u0301", "٣"])
def test_text_that_shows_something_is_visible(text: str):
    assert visible(text)


def test_fold_makes_every_run_of_white_space_one_space():
    assert fold(" a \n\n b\t") == "a b"
