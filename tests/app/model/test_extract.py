"""The extractive answerer: what it picks stands in its passage, and it says nothing rather than a near miss."""

import re
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.types import Vectors
from app.model import extract as module
from app.model.extract import MOST, WORDS, Evidence, Pick, Source, extract, odds


def embed(texts: Sequence[str]) -> Vectors:
    """A bag of words, hashed: like texts share words. Small enough to follow by hand, and no weights to load."""
    rows = np.zeros((len(texts), 512), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            row[zlib.crc32(word.encode()) % 512] += 0.2 if len(word) < 4 else 1.0
        row /= np.linalg.norm(row) or 1.0
    return rows


LOGS = Source(
    1,
    "Audit logs",
    "Security",
    "Audit logs record who did what. Audit logs are kept for 365 days on the Enterprise plan. Exports are signed.\n\n"
    "How long are audit logs kept?\n\nRetention\n\nColours of the page can be changed by an owner.",
)
FOOD = Source(2, "Canteen", "", "The canteen serves soup at noon. Bread comes from a bakery in town. Guests pay with a card.")
TEAMS = Source(
    3,
    "Team roles",
    "",
    "When you manage a team, choose between these roles:\n- Owner gets access to everything and can delete the team.\n"
    "- Viewer can view the stats.\n\nPlan | Members\nStarter | 3 members at most\nBusiness | 10 members at most",
)


def texts(question: str, *passages: Source) -> list[str]:
    return [pick.text for pick in extract(question, passages, embed=embed)]


def test_the_sentence_that_answers_is_picked_and_nothing_foreign_is_quoted() -> None:
    picks = extract("How long are audit logs kept?", [LOGS, FOOD], embed=embed)
    assert picks[0].n == 1
    assert Pick(1, "Audit logs are kept for 365 days on the Enterprise plan.") in picks


def test_it_abstains_when_the_passages_speak_of_something_else() -> None:
    assert extract("Which rocket flew to the moon in 1969?", [LOGS, FOOD, TEAMS], embed=embed) == []


@pytest.mark.parametrize(
    "passages", [[], [Source(1, "", "", "")], [Source(1, "Logs", "", "Audit logs\n\nHow long are logs kept?")]]
)
def test_headings_and_questions_are_no_answers(passages: list[Source]) -> None:
    assert extract("How long are audit logs kept?", passages, embed=embed) == []
    assert not {"How long are audit logs kept?", "Retention"} & set(texts("How long are audit logs kept?", LOGS, FOOD))


def test_a_list_item_brings_its_opener_and_a_row_its_header() -> None:
    said = texts("Which team role can delete the team?", TEAMS, FOOD)
    assert said[:2] == TEAMS.text.split("\n")[:2]
    said = texts("How many members at most on the Business plan?", TEAMS, FOOD)
    assert "Plan | Members" in said
    assert "Business | 10 members at most" in said
    assert said.index("Plan | Members") < said.index("Business | 10 members at most")


def test_a_pronoun_brings_its_antecedent() -> None:
    """Though each of the other sentences has more of the question than the antecedent."""
    others = " ".join(f"The harbour gate of Dover was opened by crew {i} of the town in 184{i}." for i in range(2, 10))
    text = f"Ada Lovelace drew all of its plans by candle light in eleven long and very cold winters. She opened the harbour gate of Dover in 1840. {others}"
    said = texts("Who opened the harbour gate of Dover in 1840?", Source(1, "Harbour", "", text), FOOD)
    assert said[:2] == [
        "Ada Lovelace drew all of its plans by candle light in eleven long and very cold winters.",
        "She opened the harbour gate of Dover in 1840.",
    ]
    assert len(said) < 10
    unled = texts("Who opened the harbour gate of Dover in 1840?", Source(1, "Harbour", "", text.replace("She", "Ada")), FOOD)
    assert "Ada Lovelace drew all of its plans by candle light in eleven long and very cold winters." not in unled


def test_an_answer_keeps_to_its_length() -> None:
    long = " ".join(f"Audit logs of system {i} are kept for {i} days in the archive of the plant." for i in range(40))
    said = texts("How long are audit logs of system 7 kept?", Source(1, "Audit logs", "", long), FOOD)
    assert any("system 7 are" in text for text in said)
    assert WORDS - 16 < sum(len(text.split()) for text in said) <= WORDS


def test_cost_is_bounded_and_paid_once() -> None:
    read: list[str] = []

    def counted(batch: Sequence[str]) -> Vectors:
        read.extend(batch)
        return embed(batch)

    long = " ".join(f"Log number {i} is kept for {i} days." for i in range(300)) + "word " * 300
    passages = [Source(n, f"Logs of {n}", "", long) for n in range(1, 6)]
    first = extract("How long is log number 7 kept?", passages, embed=counted)
    assert len(read) == len(set(read)) <= 1 + 5 + 5 + 8
    assert sum(len(text.split()) for text in read) < 400
    read.clear()
    assert extract("How long is log number 7 kept?", passages, embed=counted) == first
    assert read == []  # the sentences of a document come back with the next question


def test_what_only_points_elsewhere_is_no_answer() -> None:
    pointers = [
        "See How long audit logs are kept.",
        "- Learn more about how long audit logs are kept.",
        "For more information on how long audit logs are kept, see the page on audit logs.",
        "::: How long audit logs are kept",
    ]
    says = "Audit logs are kept for 365 days on the Enterprise plan."
    seen = (
        "See that the audit logs are kept for as long as a year, which needs a plan of the right kind and a very patient owner."
    )
    passage = Source(
        1,
        "Audit logs",
        "Plans > Audit logs are kept for as long as a plan says",
        "\n\n".join([*pointers, "Audit logs are kept for as long as a plan says", says, seen]),
    )
    assert set(texts("How long are audit logs kept?", passage, FOOD)) == {says, seen}


def test_the_same_sentence_of_two_passages_is_said_once() -> None:
    again = Source(9, "Handbook", "", LOGS.text)
    said = texts("How long are audit logs kept?", LOGS, again, FOOD)
    assert "Audit logs are kept for 365 days on the Enterprise plan." in said
    assert len(said) == len(set(said))


def test_what_stands_far_behind_the_best_sentence_does_not_fill_up_the_answer() -> None:
    assert not set(texts("How long are audit logs kept?", LOGS, FOOD)) & set(FOOD.text.split(". "))
    assert all(pick.n == 1 for pick in extract("How long are audit logs kept?", [LOGS, FOOD], embed=embed))


def test_an_answer_has_at_most_five_sentences() -> None:
    short = Source(1, "Audit logs", "", " ".join(f"Audit log {i} is kept." for i in range(20)))
    assert len(texts("Which audit log is kept?", short, FOOD)) == MOST


@pytest.mark.parametrize("field", Evidence.__slots__)
def test_more_evidence_never_speaks_against_an_answer(field: str) -> None:
    values = dict.fromkeys(Evidence.__slots__, 0.0)
    assert odds(Evidence(**{**values, field: 1.0})) > odds(Evidence(**values))


def test_near_misses_weigh_against_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same passage carries less when the question swaps a number, an opposite, a negation, or asks of something else."""
    passage = Source(
        1, "Steam", "", "Steam enters the engine in hot areas in 1769. Boats sank off Dover. Cold areas are few there."
    )
    found: list[Evidence] = []
    weigh = module._evidence

    def spy(*given: Any) -> Evidence:
        found.append(weigh(*given))
        return found[-1]

    monkeypatch.setattr(module, "_evidence", spy)

    def evidence(question: str) -> Evidence:
        extract(question, [passage, FOOD], embed=embed)
        return found[-1]

    plain = evidence("Does steam enter the engine in hot areas in 1769?")
    assert (plain.number, plain.opposite, plain.negation, plain.covered) == (0, 0, 0, 1)
    for question, field in [
        ("Does steam enter the engine in hot areas in 1796?", "number"),
        ("Does steam enter the engine in cold areas in 1769?", "opposite"),
        ("Does steam never enter the engine in hot areas in 1769?", "negation"),
        ("Does steam enter the zeppelin in hot areas in 1769?", "covered"),
    ]:
        swapped = evidence(question)
        assert getattr(swapped, field) < getattr(plain, field), question
        assert odds(swapped) < odds(plain)


def test_a_contrast_is_no_negation() -> None:
    assert texts("How long are audit logs but not exports kept?", LOGS, FOOD)


WORD = st.sampled_from("audit logs are kept for 365 days never team | - : . ? ! \n \n\n He It 1. Owner the of in".split(" "))
PASSAGE = st.builds(
    Source, st.integers(1, 99), st.sampled_from(["", "Audit logs"]), st.just("A > B"), st.lists(WORD).map(" ".join)
)


@settings(max_examples=100, deadline=None)
@given(question=st.lists(WORD).map(" ".join), passages=st.lists(PASSAGE, max_size=5, unique_by=lambda p: p.n))
def test_every_pick_is_verbatim_once_and_in_reading_order(question: str, passages: list[Source]) -> None:
    picks = extract(question, passages, embed=embed)
    assert picks == extract(question, passages, embed=embed)
    by_n = {passage.n: passage.text for passage in passages}
    numbers = list(dict.fromkeys(pick.n for pick in picks))
    for n in numbers:
        own = [i for i, pick in enumerate(picks) if pick.n == n]
        assert own == list(range(own[0], own[-1] + 1))  # a passage's sentences stand together
        at = 0
        for i in own:
            at = by_n[n].index(picks[i].text, at) + len(picks[i].text)  # raises when not there, or not in order


def test_threads_do_not_disturb_each_other() -> None:
    wanted = texts("How long are audit logs kept?", LOGS, FOOD)
    got: list[list[str]] = []
    threads = [threading.Thread(target=lambda: got.append(texts("How long are audit logs kept?", LOGS, FOOD))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [wanted] * 8
