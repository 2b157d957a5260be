"""The soak's own measure: what the model says of commands, and what the judge says of responses."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from tests.soak import model
from tests.soak.clients import Seen
from tests.soak.judge import FOLLOW_S, PATIENCE_S, Judge
from tests.soak.library import Library, Version
from tests.soak.model import Access, Act, Folder, History, State, Who, Window, courses

ANN, ROOT = Who("ann", frozenset({"ann", "staff"})), Who("root", frozenset(), admin=True)
WIKI = Folder("wiki", {"wiki/a.md": "A 2", "wiki/c.md": "C 1"}, {"wiki/c.md": frozenset({"ann"})})
BEFORE = State({"wiki/a.md": "A 1", "wiki/b.md": "B 1", "notes/n.md": "N 1"})


def end(start: State, *acts: Act) -> State:
    (only,) = courses(start, acts)[1]
    return only


@pytest.mark.parametrize(
    ("sync", "content"),
    [
        (False, {"wiki/a.md": "A 2", "wiki/b.md": "B 1", "wiki/c.md": "C 1", "notes/n.md": "N 1"}),
        (True, {"wiki/a.md": "A 2", "wiki/c.md": "C 1", "notes/n.md": "N 1"}),
    ],
)
def test_an_ingest_takes_its_source_and_drops_what_it_lost_only_when_told(sync: bool, content: dict[str, str]):
    after = end(BEFORE, Act(model.ingest([WIKI], sync=sync), locks=True))

    assert after == State(content, Access(acl={"wiki/c.md": frozenset({"ann"})}))


def test_what_is_deleted_stays_away_until_an_ingest_after_it_was_restored():
    deleted = end(BEFORE, Act(model.delete("wiki/a.md")))
    assert "wiki/a.md" in deleted.content
    assert "wiki/a.md" not in deleted.access.visible(deleted.content, ROOT)
    assert end(deleted, Act(model.restore("wiki/a.md"))) == BEFORE

    cleaned = end(end(deleted, Act(model.gc(), locks=True)), Act(model.restore("wiki/a.md")))
    assert "wiki/a.md" not in cleaned.content
    assert "wiki/a.md" in end(cleaned, Act(model.ingest([WIKI], sync=False), locks=True)).content


def test_a_killed_command_took_some_of_its_steps_from_the_first_on():
    acts = [Act(model.ingest([WIKI], sync=False), locks=True, whole=False)]

    ends = courses(BEFORE, acts)[1]

    bound = {"wiki/c.md": frozenset({"ann"})}
    assert {(len(state.content), *state.access.acl) for state in ends} == {(3,), (3, *bound), (4, *bound)}


def test_two_that_hold_the_lock_never_lose_what_the_other_did():
    notes = Folder("notes", {"notes/o.md": "O 1"}, {})
    acts = [Act(model.ingest([folder], sync=False), locks=True) for folder in (WIKI, notes)]

    assert {*end(BEFORE, *acts).content} == {"wiki/a.md", "wiki/b.md", "wiki/c.md", "notes/n.md", "notes/o.md"}


def test_a_deletion_may_come_before_or_after_an_ingest_has_looked():
    acts = [Act(model.ingest([WIKI], sync=False), locks=True), Act(model.delete("wiki/a.md"))]

    held = {"wiki/a.md" in state.content for state in courses(BEFORE, acts)[1]}

    assert held == {True, False}  # taken out by its clean-up, or deleted after that


@pytest.mark.parametrize(
    ("readers", "required", "who", "shown"),
    [
        (None, False, ANN, True),
        (None, True, ANN, False),
        (frozenset(), True, ANN, False),
        (frozenset({"staff"}), True, ANN, True),
        (frozenset({"bob"}), True, ANN, False),
        (frozenset({"*"}), True, ANN, True),
        (frozenset({"bob"}), True, ROOT, True),
    ],
)
def test_lists_bind_once_they_are_required(readers: frozenset[str] | None, required: bool, who: Who, shown: bool):
    row = Access(acl={} if readers is None else {"a": readers}, required=required)

    assert bool(row.visible({"a": "A 1"}, who)) == shown


# --------------------------------------------------------------------------------------------- the judge


def judge(*after: State) -> Judge:
    """Return one for a history in which a state follows another every 10 seconds, from the first on."""
    library = Library(Random(0))
    for title in {title for state in after for title in state.content.values()}:
        word = f"zq{title.lower().replace(' ', '').translate(str.maketrans('0123456789', 'abcdefghij')):x<6}"
        library.versions[title] = Version(title, (word,), (f"The {word} gate.",))
    history = History(after[0])
    for number, (before, state) in enumerate(pairwise(after), start=1):
        history.add(Window(number * 10.0, number * 10.0 + 0.5, (before, state), state))
    return Judge(history, library, {})


def search(judge: Judge, titles: dict[str, str], at: float, who: Who = ROOT, k: int = 100, took: float = 0.1) -> Seen:
    """Return a search that found one chunk of each of some documents."""
    hits = [{"uri": u, "title": t, "start": 0, "text": judge.library.versions[t].paragraphs[0]} for u, t in titles.items()]
    return Seen("search", who, {"k": k}, at, at + took, 200, {"hits": hits})


ONE, TWO = State({"a": "A 1", "b": "B 1"}), State({"a": "A 2", "b": "B 2"})


def verdicts(judge: Judge, seen: Sequence[Seen]) -> list[bool]:
    return [judge.look(one) is None for one in seen]


def test_a_snapshot_may_be_followed_late_and_never_mixed():
    it = judge(ONE, TWO)
    old, new, mixed = dict(ONE.content), dict(TWO.content), {"a": "A 1", "b": "B 2"}

    assert verdicts(it, [search(it, old, 9), search(it, new, 9)]) == [True, False]
    assert verdicts(it, [search(it, old, 11), search(it, new, 11), search(it, mixed, 11)]) == [True, True, False]
    assert not it.late
    assert verdicts(it, [search(it, old, 11 + FOLLOW_S), search(it, old, 11 + PATIENCE_S)]) == [True, False]
    assert len(it.late) == 1


def test_a_deletion_and_a_list_bind_at_once():
    deleted = State(ONE.content, Access(frozenset({"b"})))
    it = judge(ONE, deleted, ONE)
    whole, rest = dict(ONE.content), {"a": "A 1"}

    assert verdicts(it, [search(it, whole, 10.4), search(it, rest, 10.4)]) == [True, True]  # while it runs
    assert verdicts(it, [search(it, whole, 10.6), search(it, rest, 10.6)]) == [False, True]
    assert verdicts(it, [search(it, rest, 20.6), search(it, whole, 20.6)]) == [False, True]

    bound = State(ONE.content, Access(acl={"a": frozenset({"ann"})}, required=True))
    it = judge(ONE, bound)
    assert verdicts(it, [search(it, whole, 10.6, ANN), search(it, rest, 10.6, ANN), search(it, whole, 10.6)]) == [
        False,
        True,
        True,
    ]


def test_a_search_returns_k_or_all():
    it = judge(ONE)

    assert verdicts(it, [search(it, {"a": "A 1"}, 1, k=1), search(it, {"a": "A 1"}, 1, k=2)]) == [True, False]
    assert verdicts(it, [search(it, {}, 1), search(it, dict(ONE.content), 1, k=1)]) == [False, False]


@pytest.mark.parametrize(("status", "body"), [(0, "ReadError"), (500, {}), (503, {}), (404, {}), (410, {})])
def test_a_failed_request_is_a_difference(status: int, body: Any):
    assert judge(ONE).look(Seen("search", ROOT, {"k": 3}, 1.0, 1.1, status, body))


def test_an_answer_may_be_interrupted_by_a_deletion_alone():
    deleted = State(ONE.content, Access(frozenset({"b"})))
    it = judge(ONE, deleted, ONE)
    problem = {"code": "source_erased"}

    def answer(at: float) -> Seen:
        return Seen("answer", ROOT, {"question": "?"}, at, at + 1, 410, problem)

    assert verdicts(it, [answer(5), answer(9.5), answer(15), answer(19.5)]) == [False, True, False, False]


def test_an_answer_in_the_books_is_as_it_was_sent_until_a_document_of_it_is_deleted():
    deleted = State(ONE.content, Access(frozenset({"b"})))
    it = judge(ONE, deleted, ONE)
    body = {"id": "ans_1", "answer": "", "claims": [], "citations": [{"uri": "b", "title": "B 1"}]}
    earlier = Seen("answer", ROOT, {}, 5, 6, 200, body)

    def again(at: float, status: int, said: Any = body) -> Seen:
        return Seen("again", ROOT, {}, at, at + 0.1, status, said, earlier)

    assert verdicts(it, [again(7, 200), again(7, 200, {}), again(7, 410)]) == [True, False, False]
    assert verdicts(it, [again(12, 410), again(12, 200), again(22, 410), again(22, 200)]) == [True, False, True, False]

    through = Seen("answer", ROOT, {}, 5, 21, 200, body)  # it began before both, and stands: there was nothing to blank
    assert verdicts(it, [Seen("again", ROOT, {}, 22, 22.1, 200, body, through)]) == [True]
