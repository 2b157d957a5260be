"""The checker: what the model cites becomes citations that hold, and what others read in the answer is what it says."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.sentences import Segmenter
from app.core.types import Citation, Claim, Passage
from app.verify import Checker
from tests.app.build import chunk, passage

KEPT = "Audit logs are kept for 365 days on the Enterprise plan."
COPIED = "Snapshots are copied to Frankfurt each night."
SOLD = "Invoices go out on the first Monday of a month."
PASSAGES = [passage(text, n=n, uri=f"s/{n}.md", score=1 / n) for n, text in enumerate([KEPT, COPIED, SOLD], start=1)]

# As shared/tools/probe.py has them: the outsiders' reading.
MARKER = re.compile(r"(?:\[\d{1,3}\])+")
CODE = re.compile(r"```.*?```|(?<!`)`(?!`)[^`\n]+`(?!`)", re.DOTALL)


class Answer:
    """What a caller holds when the checked units have been sent."""

    def __init__(self, *units: str, passages: list[Passage] = PASSAGES, max_citations: int = 5) -> None:
        checker = Checker(passages, max_citations=max_citations)
        checked = [checker.check(unit) for unit in units]
        self.text = "".join(one.text for one in checked)
        self.citations: list[Citation] = [citation for one in checked for citation in one.citations]
        self.claims: list[Claim] = [one.claim for one in checked if one.claim]
        self.warnings = [warning.code for one in checked for warning in one.warnings]

    @property
    def markers(self) -> list[int]:
        return [int(n) for run in MARKER.findall(CODE.sub("", self.text)) for n in re.findall(r"\d+", run)]


def test_a_carried_sentence_keeps_its_marker_and_gets_its_quote():
    answer = Answer("Audit logs are kept for 365 days on the Enterprise plan [1].")

    assert answer.text == "Audit logs are kept for 365 days on the Enterprise plan [1]."
    (citation,) = answer.citations
    assert (citation.n, citation.quote, citation.score) == (1, KEPT[:-1], 1.0) or citation.quote == KEPT
    (claim,) = answer.claims
    assert (claim.text, claim.start, claim.end) == (answer.text, 0, len(answer.text))
    assert (claim.citations, claim.support, claim.score) == ((1,), "verbatim", 1.0)


def test_numbers_follow_first_use_and_a_quote_keeps_its_number():
    answer = Answer(f"{SOLD} [3]", f" {KEPT} [1]", f" {SOLD} [3]")

    assert answer.text == f"{SOLD} [1] {KEPT} [2] {SOLD} [1]"
    assert [(c.n, c.quote) for c in answer.citations] == [(1, SOLD), (2, KEPT)]
    assert [claim.citations for claim in answer.claims] == [(1,), (2,), (1,)]


def test_two_passages_with_the_same_range_are_one_citation():
    whole = f"{KEPT} {COPIED}"
    wide, narrow = Passage(1, chunk(whole), 0.9), Passage(2, chunk(KEPT, whole=whole), 0.8)

    answer = Answer(f"{KEPT} [1][2]", passages=[wide, narrow])

    assert answer.text == f"{KEPT} [1]"
    assert [(c.start, c.end, c.score) for c in answer.citations] == [(0, len(KEPT), 0.9)]


def test_a_quote_is_exactly_the_documents_characters():
    whole = "Intro.\n\nCells  divide [12]\ntwice a day. End."
    text = whole[8:]

    answer = Answer("Cells divide twice a day [1].", passages=[Passage(1, chunk(text, whole=whole), 1.0)])

    (citation,) = answer.citations
    assert citation.quote == whole[citation.start : citation.end] == "Cells  divide [12]\ntwice a day."[: len(citation.quote)]


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (f"{KEPT} [9]", KEPT),
        ("Audit logs are kept for 365 days on the Enterprise plan [9].", KEPT),
        ("Audit logs [9] are kept for 365 days on the Enterprise plan [9], [8].", KEPT),
        ("[9] " + KEPT, KEPT),
        (
            "Audit logs are kept for 365 days on the Enterprise plan [9][1].",
            "Audit logs are kept for 365 days on the Enterprise plan [1].",
        ),
        (
            "Audit logs are kept for 365 days on the Enterprise plan [1] [9].",
            "Audit logs are kept for 365 days on the Enterprise plan [1].",
        ),
    ],
)
def test_a_marker_of_no_passage_goes_without_a_gap_and_warns_once(unit: str, text: str):
    answer = Answer(unit, f" {COPIED} [77]")

    assert answer.text == f"{text} {COPIED}"
    assert answer.warnings == ["citation_unknown"]


def test_a_passage_that_does_not_carry_the_sentence_loses_its_marker():
    answer = Answer(f"{KEPT} [1][2]", f" {COPIED} [3]")

    assert answer.text == f"{KEPT} [1] {COPIED}"
    assert [(claim.citations, claim.support) for claim in answer.claims] == [((1,), "verbatim"), ((), "unsupported")]
    assert answer.warnings == ["citation_unsupported"]


def test_citations_beyond_the_limit_are_dropped_and_the_claim_keeps_its_support():
    answer = Answer(f"{KEPT} [1]", f" {COPIED} [2]", f" {SOLD} [3]", f" {KEPT} [1]", max_citations=1)

    assert answer.text == f"{KEPT} [1] {COPIED} {SOLD} {KEPT} [1]"
    assert [claim.support for claim in answer.claims] == ["verbatim"] * 4
    assert answer.warnings == ["citations_limited"]


@pytest.mark.parametrize("marker", ["[1, 2]", "[1;2]", "[1-2]", "[1–2]", "[[1, 2]]", "[1][2][1]"])
def test_what_models_write_becomes_a_run(marker: str):
    answer = Answer(f"Audit logs are kept for 365 days and snapshots are copied to Frankfurt {marker}.")

    assert answer.text.endswith(" Frankfurt [1][2].")
    assert answer.claims[0].citations == (1, 2)


def test_markers_in_code_are_left_alone():
    fence = "```py\nlogs = plan[1]\n```"

    answer = Answer(fence, f"\n{KEPT} Read `x[2]` [1]")

    assert answer.text == f"{fence}\n{KEPT} Read `x[2]` [1]"
    assert len(answer.citations) == 1
    assert answer.claims[0].text == fence


def test_no_citation_is_added_that_the_model_did_not_make():
    answer = Answer(KEPT)

    assert (answer.text, answer.citations) == (KEPT, [])
    assert [(claim.citations, claim.support) for claim in answer.claims] == [((), "verbatim")]


@pytest.mark.parametrize("unit", ["", "  \n", "---", "# Title", "## A title of two words", "***", "|---|:--|"])
def test_what_says_nothing_is_no_claim(unit: str):
    assert Answer(unit).claims == []


def test_tables_and_lists_are_claims():
    answer = Answer(
        "- Snapshots are copied to Frankfurt each night [2]", "\n| Plan | Days |\n| --- | --- |\n| Enterprise | 365 |"
    )

    assert [claim.support == "unverified" for claim in answer.claims] == [False, False]
    assert answer.claims[0].citations == (1,)


def test_white_space_is_kept_between_units_and_dropped_at_both_ends():
    answer = Answer(f"\n\n {KEPT}", f"\n\n{COPIED}\n", "  \n", f"{SOLD} \n\n")

    assert answer.text == f"{KEPT}\n\n{COPIED}\n  \n{SOLD}"
    assert all(claim.text == answer.text[claim.start : claim.end] for claim in answer.claims)


@pytest.mark.parametrize(
    ("units", "text"),
    [
        ([KEPT, " [9]", f" {COPIED}"], f"{KEPT} {COPIED}"),
        ([KEPT, "\n\n[9]", f" {COPIED}"], f"{KEPT}\n\n{COPIED}"),
        ([f"{KEPT}\n[9]", f"\n{COPIED}"], f"{KEPT}\n{COPIED}"),
        (["[9]", f" {COPIED}"], COPIED),
    ],
)
def test_a_unit_that_was_only_a_marker_leaves_no_gap(units: list[str], text: str):
    assert Answer(*units).text == text


@pytest.mark.parametrize(
    "units",
    [
        ["A ` tick. " + KEPT + " [1]", " Another ` tick."],
        ["x [[9]1] y", " z"],
        ["ends with [", "1] and more"],
        ["``[9]`" + KEPT + " [1]```", " ```"],
        ["``` " + KEPT + " [1]", " and ``` closes"],
    ],
)
def test_text_that_others_would_read_otherwise_is_made_plain(units: list[str]):
    answer = Answer(*units)

    assert list(dict.fromkeys(answer.markers)) == [citation.n for citation in answer.citations]


PIECES = st.sampled_from(
    [KEPT, COPIED, SOLD, KEPT[:-1], "Audit logs", " are kept", "Nothing of it", "[1]", "[2]", "[3]", "[9]", "[1, 2]", "[1-3]", "[[2]]", "[", "]",
     "1", " ", "  ", "\n", "\n\n", "`", "``", "```", "```py\n", ". ", "。", "- ", "# ", " | ", "---", ",", "x"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=16).map("".join)


def holds(answer: Answer, most: int) -> None:
    """Every promise about citations and claims that can be seen from outside."""
    numbers = [citation.n for citation in answer.citations]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= most
    assert list(dict.fromkeys(answer.markers)) == numbers, "markers outside code, in order of first use"
    assert answer.text == answer.text.strip()
    at = 0
    for claim in answer.claims:
        assert at <= claim.start < claim.end
        assert claim.text == answer.text[claim.start : claim.end] == claim.text.strip()
        assert set(claim.citations) <= set(numbers)
        at = claim.end
    assert set(numbers) == {n for claim in answer.claims for n in claim.citations}
    for citation in answer.citations:
        first = citation.chunk.start
        assert citation.quote == citation.chunk.text[citation.start - first : citation.end - first] != ""
    assert len(answer.warnings) == len(set(answer.warnings))


@settings(max_examples=500, deadline=None)
@given(units=st.lists(TEXTS, max_size=6), most=st.integers(1, 3))
def test_any_units_give_an_answer_that_holds(units: list[str], most: int):
    holds(Answer(*units, max_citations=most), most)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_a_models_text_without_markers_leaves_as_it_came(text: str):
    text = text.replace("[", "(").replace("]", ")")
    segmenter = Segmenter()

    answer = Answer(*segmenter.feed(text), *segmenter.finish())

    assert answer.text == text.strip()
    holds(answer, 5)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, order=st.permutations(PASSAGES))
def test_the_order_of_passages_changes_nothing(text: str, order: list[Passage]):
    segmenter = Segmenter()
    units = [*segmenter.feed(text), *segmenter.finish()]

    one, other = Answer(*units), Answer(*units, passages=order)

    assert (one.text, one.citations, one.claims, one.warnings) == (other.text, other.citations, other.claims, other.warnings)


def test_the_score_of_a_citation_is_its_passages():
    answer = Answer(f"{COPIED} [2]", passages=[PASSAGES[0], replace(PASSAGES[1], score=0.25)])

    assert answer.citations[0].score == 0.25
