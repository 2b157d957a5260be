import time

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.core.embed import Embedder
from app.core.types import Heading
from ingest.chunk import chunk, embedded_text


def covered(text: str, ranges: list[tuple[int, int]]) -> None:
    place = 0
    for start, end in ranges:
        assert place <= start < end <= len(text)
        assert not text[place:start].strip(), "text between two chunks was dropped"
        assert text[start:end] == text[start:end].strip(), "a chunk begins or ends in white space"
        place = end
    assert not text[place:].strip(), "the end was dropped"


pieces_of_text = st.lists(
    st.sampled_from(["word ", "unbelievably ", "\n\n", "\n", "A sentence ends. ", "数据", "😀", "x" * 300, "- item\n", "a | b\n", "# ", " \t", "3.5 ", "```\ncode\n```\n", "y" * 9000, " " * 5000, "a," * 3000]),
    max_size=60,
).map("".join)  # fmt: skip


@examples(max_examples=60, deadline=None)
@given(pieces_of_text, st.sampled_from(["", "Title", "A very long title " * 10]), st.sampled_from([32, 64, 200]))
def test_every_character_is_in_one_chunk_and_every_chunk_fits(embedder: Embedder, text: str, title: str, limit: int):
    tokenize = embedder.pieces.offsets

    ranges = chunk(text, [], title, tokenize=tokenize, limit=limit)

    covered(text, ranges)
    for start, end in ranges:
        assert len(tokenize(embedded_text(title, text[start:end], tokenize))) + 2 <= limit or end - start == 1


def test_a_heading_goes_with_what_follows_it(embedder: Embedder):
    text = "Intro\n\n" + "Some words stand here. " * 30 + "\n\nLimits\n\nThe limit is three."
    headings = [Heading(0, 1, "Intro"), Heading(text.index("Limits"), 2, "Limits")]

    ranges = chunk(text, headings, "T", tokenize=embedder.pieces.offsets, limit=100)

    assert text[slice(*ranges[0])].startswith("Intro\n\nSome words")
    assert text[slice(*ranges[-1])] == "Limits\n\nThe limit is three."


def test_a_small_section_is_joined_with_its_neighbour(embedder: Embedder):
    text = "One\n\nFirst.\n\nTwo\n\nSecond."
    headings = [Heading(0, 2, "One"), Heading(text.index("Two"), 2, "Two")]

    assert chunk(text, headings, "T", tokenize=embedder.pieces.offsets, limit=200) == [(0, len(text))]


def test_a_paragraph_that_is_too_long_is_cut_at_sentences(embedder: Embedder):
    sentence = "The audit log keeps what everybody did for a whole year. "
    text = (sentence * 40).strip()

    ranges = chunk(text, [], "", tokenize=embedder.pieces.offsets, limit=100)

    assert len(ranges) > 3
    assert all(text[start:end].endswith(".") for start, end in ranges)


def test_a_long_title_takes_twelve_pieces_at_most(embedder: Embedder):
    text = embedded_text("word " * 50, "body", embedder.pieces.offsets)

    assert text == "word " * 11 + "word\nbody"
    assert embedded_text("", "body", embedder.pieces.offsets) == "body"


def test_a_word_without_end_is_cut(embedder: Embedder):
    text = "x" * 300_000  # one unknown piece to the tokenizer, so no count of pieces stops it

    ranges = chunk(text, [], "T", tokenize=embedder.pieces.offsets)

    covered(text, ranges)
    assert max(end - start for start, end in ranges) <= 4_000


def test_a_limit_without_room_is_refused(embedder: Embedder):
    with pytest.raises(ValueError, match="at least 32"):
        chunk("Text.", [], "T", tokenize=embedder.pieces.offsets, limit=16)


def test_a_long_paragraph_is_cut_at_the_same_sentences_as_a_short_one(embedder: Embedder):
    sentence = "The audit log keeps what everybody did for a whole year. "
    text = (sentence * 1500).strip()  # several windows of the search for sentences

    ranges = chunk(text, [], "", tokenize=embedder.pieces.offsets, limit=100)

    covered(text, ranges)
    assert all(text[start:end].startswith("The") and text[start:end].endswith("year.") for start, end in ranges)


@pytest.mark.slow
def test_text_without_a_stop_or_a_space_takes_seconds(embedder: Embedder):
    text = "ab," * 300_000
    began = time.perf_counter()

    covered(text, chunk(text, [], "T", tokenize=embedder.pieces.offsets))

    assert time.perf_counter() - began < 15  # looking ahead through the whole text for each sentence took twenty and more


@pytest.mark.slow
def test_two_megabytes_take_seconds(embedder: Embedder):
    text = ("The audit log keeps what everybody did for a whole year. " * 12 + "\n\n") * 2900
    began = time.perf_counter()

    ranges = chunk(text, [], "T", tokenize=embedder.pieces.offsets)

    covered(text, ranges)
    assert time.perf_counter() - began < 30  # linear: a quadratic one takes an hour
