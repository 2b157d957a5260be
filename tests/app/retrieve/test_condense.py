import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.types import Message
from app.retrieve.condense import condense


def turns(*questions: str) -> list[Message]:
    """Earlier questions, each with an answer."""
    return [Message(role, text) for text in questions for role, text in (("user", text), ("assistant", f"Answer to {text}"))]


@pytest.mark.parametrize(
    "question",
    [
        "Can it be extended?",
        "How do I use them?",
        "Who may see this?",
        "Where can this key be used?",
        "How long are these kept?",
        "What are its limits?",
        "Why?",
        "How many?",
        "And in Berlin?",
        "What about the Team plan?",
        "I meant the free plan",
        "Does it take effect in other regions?",
    ],
)
def test_a_question_that_leans_takes_the_one_before_with_it(question: str):
    assert condense(question, turns("How long are audit logs kept?")) == f"{question} How long are audit logs kept?"


@pytest.mark.parametrize(
    "question",
    [
        "How long are audit logs kept on the Enterprise plan?",
        "What is superposition?",
        "who was Hubble",
        "Is it possible to purchase quantum computing hardware?",
        "Why is it harder to build quantum computers than classical ones?",
        "How long does it take to identify a virus?",
        "What are anyons and how are they relevant to topological quantum computing?",
        "What did Tesla do when he left Edison?",
        "I heard that there are limits on exports",
        "如何重置密码",
        "Wie lange werden Protokolle aufbewahrt?",
    ],
)
def test_a_question_that_stands_alone_comes_back_unchanged(question: str):
    assert condense(question, turns("Can I change the colour of the lamp?")) == question


def test_the_question_before_it_comes_along_when_the_last_leans_too():
    history = turns("Which games use a ball?", "Where does association football come from?", "Is it played by women?")

    assert (
        condense("Which is the most popular?", history)
        == "Which is the most popular? Is it played by women? Where does association football come from?"
    )


def test_a_last_question_that_stands_alone_is_enough():
    history = turns("What is a snapshot?", "Where does the gateway keep its logs?")

    assert condense("How long?", history) == "How long? Where does the gateway keep its logs?"


def test_answers_and_instructions_are_left_out():
    history = [Message("system", "Be brief."), Message("user", "Where are exports stored?"), Message("assistant", "In Köln.")]

    assert condense("For how long?", history) == "For how long? Where are exports stored?"


def test_nothing_before_it_leaves_it_as_it_is():
    assert condense("How many?", []) == "How many?"
    assert condense("How many?", [Message("assistant", "Hello.")]) == "How many?"


def test_a_long_turn_does_not_drown_the_question():
    condensed = condense("Why?", turns("Why does the gateway\n\nrefuse " + "this request " * 500))

    assert condensed.startswith("Why? Why does the gateway refuse this request")
    assert len(condensed) <= 210


@given(
    st.text(max_size=200), st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(max_size=300)), max_size=5)
)
def test_the_question_always_comes_first(question: str, messages: list[Message]):
    condensed = condense(question, messages)

    assert condensed.startswith(question.rstrip())
    assert condensed == condense(question, messages)
    assert len(condensed) <= len(question) + 201


@pytest.mark.parametrize(
    "text", ["it " + "really " * 100_000, "what is " + "!" * 500_000 + " zebra zebra", "that's " * 100_000, "x" * 500_000]
)
def test_no_text_takes_long(text: str):
    began = time.perf_counter()

    condense("Why?", turns(text))
    condense(text, turns("Why?"))

    assert time.perf_counter() - began < 2
