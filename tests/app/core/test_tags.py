import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.tags import escape, unescape

nasty = st.lists(
    st.sampled_from(["<", "</", "&lt;", "&amp;", "amp;", "lt;", "/", "passage", "question", "ABSTAIN", ">", " ", "x"])
).map("".join)


@given(st.one_of(st.text(), nasty))
def test_unescape_gives_back_exactly_what_was_escaped(text: str):
    assert unescape(escape(text)) == text


@given(nasty)
def test_escaped_text_holds_none_of_our_tags(text: str):
    assert not re.search(r"</?(?:passage|question|abstain)\b", escape(text), re.IGNORECASE)


@pytest.mark.parametrize("text", ["a < b", "<b>bold</b>", "x &amp; y", "<passages>", "1 &lt; 2"])
def test_other_markup_is_left_alone(text: str):
    assert escape(text) == text
