"""Law 7 as a property: a writer that is killed at any step of any work leaves what was there, or what it was to make."""

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core import snapshot
from app.core.config import RetainSettings
from app.core.types import document_id
from ingest.gc import collect
from ingest.publish import exclusive, previous, publish, without
from tests.indexes import BUILT_WITH, NOTES, new, part

Content = Mapping[str, str]
"""uri -> text."""
_STEPS_OF_A_WRITER = ("replace", "rename", "fsync", "unlink", "remove", "rmdir", "mkdir")
_KEEP = RetainSettings(snapshots=2, hours=0)


class Books:
    """The database, as far as cleaning up asks it."""

    def __init__(self, erased: frozenset[str]) -> None:
        self._erased = frozenset(document_id("docs", uri) for uri in erased)

    def masked(self) -> frozenset[str]:
        return self._erased

    def named(self) -> frozenset[str]:
        return frozenset()

    def removed(self, documents: frozenset[str]) -> None:
        assert documents == self._erased


def killed(work: Callable[[], object], at: int) -> bool:
    """Do some work in a process that dies, as by SIGKILL, instead of its ``at``-th step on the disk; whether it died."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 9)
        return code == 9
    left = at

    def dying(call: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(9)
            return call(*args, **kwargs)

        return step

    try:
        for name in _STEPS_OF_A_WRITER:
            setattr(os, name, dying(getattr(os, name)))
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def ingest(root: Path, wanted: Content) -> None:
    """Publish just these documents, as an ingest does: what did not change stays in its segment."""
    with exclusive(root, "docs"):
        held = previous(root, "docs")
        there = content(root)
        fresh = {uri: text for uri, text in wanted.items() if there.get(uri) != text}
        gone = {document_id("docs", uri) for uri in {*there} - {*wanted} | {*fresh}}
        parts = without(held, gone)
        if fresh:
            parts.append(part(root, [new(uri, text) for uri, text in fresh.items()], fresh))
        publish(root, "docs", parts, built_with=BUILT_WITH, notes=NOTES, known=held.segments if held else ())
        collect(root, "docs", _KEEP, Books(frozenset()), thorough=False)


def clean(root: Path, erased: frozenset[str]) -> None:
    with exclusive(root, "docs"):
        collect(root, "docs", _KEEP, Books(erased))


def content(root: Path) -> Content:
    """Return what is published, every file of it checked."""
    if snapshot.current_id(root, "docs") is None:
        return {}
    return _content(root, snapshot.open_current(root, "docs"))


def _content(root: Path, opened: snapshot.Snapshot) -> Content:
    assert list(snapshot.verify(opened)) == []
    return {document.uri: opened.texts.read(document.revision) for document in opened.documents()}


uris = st.sampled_from("abcdef")
texts = st.sampled_from(["one gate", "two gates\n\nand a door", "three"])
steps = st.lists(
    st.tuples(
        st.one_of(st.dictionaries(uris, texts, max_size=6), st.frozensets(uris, max_size=3), st.none()),
        st.none() | st.integers(1, 110),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@given(steps=steps)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_law_7_killed_at_any_step_it_leaves_what_was_or_what_was_to_be(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[dict[str, str] | frozenset[str] | None, int | None]]
):
    root = tmp_path_factory.mktemp("law")
    for what, at in steps:
        before, ends = content(root), []
        if isinstance(what, dict):
            work: Callable[[], object] = lambda what=what: ingest(root, what)  # noqa: E731
            ends = [what]
        elif isinstance(what, frozenset):
            work = lambda what=what: clean(root, what)  # noqa: E731
            ends = [{uri: text for uri, text in before.items() if uri not in what}]
        else:
            stored = [s for s in snapshot.stored(root, "docs") if s != snapshot.current_id(root, "docs")]
            if not stored:
                continue
            ends = [_content(root, snapshot.open_snapshot(root, "docs", stored[0]))]
            work = lambda target=stored[0]: _roll_back(root, target)  # noqa: E731

        died = killed(work, at or 10**9)

        assert died <= (at is not None)
        assert content(root) in ([before, *ends] if died else ends)
        for identity in snapshot.stored(root, "docs"):
            _content(root, snapshot.open_snapshot(root, "docs", identity))

    ingest(root, {"z": "the end"})  # whatever was left behind is in nobody's way
    assert content(root) == {"z": "the end"}
    clean(root, frozenset())
    assert not list(root.rglob(".*.tmp"))


def _roll_back(root: Path, target: str) -> None:
    with exclusive(root, "docs"):
        snapshot.publish(root, "docs", target)
