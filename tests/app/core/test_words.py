import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.stems import stem
from app.core.words import words

LETTERS = st.text(alphabet="abcdefghijklmnopqrstuvwxyzäéßçñабвгдеλμν", min_size=3, max_size=12).filter(
    lambda word: len(words(f"zebra {word}")) > 1
)
"""A word that is no stop word."""
STOP_WORDS = st.sampled_from("the of and what is how to who".split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Which ports does the Gateway use?", ["port", "gateway", "use"]),
        ("It's the user's, don't", ["user", "don"]),
        ("COVID-19 and DC-SIGNR in 2,023.5", ["covid", "19", "dc", "signr", "2", "023", "5"]),
        ("ﬁlled ２０２４ STRASSE Straße", ["fill", "2024", "strass", "strass"]),
        ("naïve École", ["naïv", "école"]),
        ("не могу", ["не", "могу"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("العَرَبِيَّة", ["العَرَبِيَّة"]),
        ("no, not that", ["no", "not"]),
    ],
)
def test_words_are_folded_and_stemmed(text: str, found: list[str]):
    assert words(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("max_retry_count", ["max_retry_count", "max", "retri", "count"]),
        ("__init__", ["init"]),
        ("getUserName", ["getusernam", "get", "user", "name"]),
        ("HTTPServer2_start", ["httpserver2_start", "http", "server2", "start"]),
        ("x86_64", ["x86_64", "x86", "64"]),
        ("is_none", ["is_non", "none"]),
    ],
)
def test_an_identifier_comes_whole_and_in_parts(text: str, found: list[str]):
    assert words(text) == found


@pytest.mark.parametrize("text", ["mRNA", "iPhone", "DCs", "AMIs", "MySQL", "utf8"])
def test_short_humps_are_no_parts(text: str):
    assert words(text) == [stem(text.lower())]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("水", ["水"]),
        ("GPU加速します。", ["gpu", "加速", "速し", "しま", "ます"]),
        ("서울에서", ["서울", "울에", "에서"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
    ],
)
def test_what_is_written_without_spaces_comes_in_pairs(text: str, found: list[str]):
    assert words(text) == found


def test_a_question_of_stop_words_keeps_them():
    assert words("How to be?") == ["how", "to", "be"]
    assert words("The Who") == ["the", "who"]
    assert words("The Who sing") == ["sing"]


def test_a_text_without_words_has_none():
    assert words("") == words(" … ?! ___ \n") == []


def test_encoded_data_leaves_one_short_word():
    assert words("a1" * 200_000) == [("a1" * 32)]


@given(st.text(max_size=200))
def test_any_text_has_words_that_look_like_words(text: str):
    found = words(text)

    assert all(word and len(word) <= 64 and not any(char.isspace() for char in word) for word in found)
    assert found == words(text)


@given(st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=100))  # regex knows a newer Unicode than Python
def test_a_text_with_a_letter_or_digit_has_words(text: str):
    holds = any(unicodedata.category(char)[0] in "LMN" for char in unicodedata.normalize("NFKC", text))

    assert bool(words(text)) == holds


@given(st.lists(LETTERS, min_size=1, max_size=8))
def test_case_punctuation_and_composition_do_not_matter(parts: list[str]):
    found = words(" ".join(parts))

    assert words(", ".join(parts)) == found
    assert words(" ".join(part.upper() for part in parts)) == found
    assert words(unicodedata.normalize("NFD", " ".join(parts))) == found


@given(st.lists(LETTERS, min_size=1, max_size=5), st.lists(STOP_WORDS, max_size=5))
def test_stop_words_add_nothing_to_others(parts: list[str], stops: list[str]):
    assert words(" ".join([*stops, *parts, *stops])) == words(" ".join(parts))


@given(st.lists(LETTERS, min_size=1, max_size=5), st.lists(LETTERS, min_size=1, max_size=5))
def test_a_text_has_the_words_of_its_halves(left: list[str], right: list[str]):
    assert words(" ".join([*left, *right])) == words(" ".join(left)) + words(" ".join(right))
