from hypothesis import given
from hypothesis import strategies as st

from app.pack import pack
from tests.app.build import hit


def count_words(text: str) -> int:
    return len(text.split())


def test_a_short_later_hit_fills_the_room_a_long_one_could_not():
    hits = [hit("one two three", uri="a"), hit("four five", uri="b"), hit("six", uri="c")]

    packed = pack(hits, budget=4, most=5, count=count_words)

    assert [(p.n, p.chunk.text) for p in packed] == [(1, "one two three"), (2, "six")]


def test_overlapping_ranges_and_the_same_words_elsewhere_are_kept_once():
    whole = "one two three four"
    hits = [hit("one two", whole=whole), hit("two three", whole=whole), hit("one two", uri="copy"), hit("four", whole=whole)]

    assert [p.chunk.text for p in pack(hits, budget=99, most=5, count=count_words)] == ["one two", "four"]


def test_a_copy_dressed_otherwise_is_left_out_and_one_with_another_number_is_not():
    first, copy, other = "The limit is 30 days.", "the **limit** is: 30 days!", "The limit is 90 days."

    packed = pack([hit(first, uri="a"), hit(copy, uri="b"), hit(other, uri="c")], budget=99, most=5, count=count_words)

    assert [p.chunk.text for p in packed] == [first, other]


def test_no_hits_give_no_passages():
    assert pack([], budget=10, most=5, count=count_words) == ()


@given(st.lists(st.integers(1, 30), max_size=12), st.integers(0, 60), st.integers(1, 6))
def test_neither_the_budget_nor_the_number_is_ever_passed(sizes: list[int], budget: int, most: int):
    hits = [hit(" ".join(f"w{number}x{i}" for i in range(size)), uri=str(number)) for number, size in enumerate(sizes)]

    packed = pack(hits, budget=budget, most=most, count=count_words)

    assert sum(count_words(p.chunk.text) for p in packed) <= budget
    assert [p.n for p in packed] == list(range(1, len(packed) + 1))
    assert len(packed) <= most


def test_what_says_nothing_that_one_passage_does_not_say_already_is_left_out():
    long, part, two = (
        "It opens at six. It closes at nine. Dogs stay out.",
        "Dogs stay out! It opens at six.",
        "It closes at nine. Ring twice.",
    )

    packed = pack([hit(long, uri="a"), hit(part, uri="b"), hit(two, uri="c")], budget=99, most=5, count=count_words)

    assert [p.chunk.text for p in packed] == [long, two]
