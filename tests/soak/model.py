"""What a collection is, and how each command changes it, said as plainly as it can be: the soak's measure of right and wrong.

A command is a list of steps, each a function from a state to the next; between two steps anything may happen, and a command
that was killed took some of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Content = Mapping[str, str]
"""uri -> title. A title names one text, so this says which documents there are, at which version."""
Acl = Mapping[str, frozenset[str]]
"""uri -> who may read it; a document that is not in it has no list."""
EVERYONE = "*"


@dataclass(frozen=True)
class Who:
    """A key's owner."""

    name: str
    principals: frozenset[str]
    admin: bool = False


@dataclass(frozen=True)
class Access:
    """What the database says. It binds at the next request."""

    erased: frozenset[str] = frozenset()
    acl: Acl = field(default_factory=dict)
    required: bool = False

    def visible(self, content: Content, who: Who) -> Content:
        """Return what someone may be shown of a snapshot."""
        return {uri: title for uri, title in content.items() if uri not in self.erased and self._readable(uri, who)}

    def _readable(self, uri: str, who: Who) -> bool:
        return who.admin or not self.required or bool(self.acl.get(uri, frozenset()) & (who.principals | {EVERYONE}))


@dataclass(frozen=True)
class State:
    """A collection."""

    content: Content
    """What the files of the published snapshot hold."""
    access: Access = Access()
    stored: Mapping[str, Content] = field(default_factory=dict, compare=False)
    """What the snapshots hold that may be published again, by id."""


@dataclass(frozen=True)
class Folder:
    """What a source holds."""

    name: str
    content: Content
    acl: Acl


Memory = dict[str, Any]
"""What a command knows from its earlier steps."""
Step = Callable[[State, Memory], State]


@dataclass(frozen=True)
class Act:
    """What a command did."""

    steps: Sequence[Step]
    locks: bool = False
    """Whether it holds the collection's lock from its first step to its last."""
    whole: bool = True
    """False: it was killed, and took some of its steps, or none."""


def ingest(folders: Sequence[Folder], *, sync: bool) -> list[Step]:
    """Look at what is there and at what was deleted; note the access lists of each source; publish; clean up."""

    def look(state: State, memory: Memory) -> State:
        memory["held"], memory["erased"] = state.content, state.access.erased
        return state

    def bind(folder: Folder) -> Step:
        def step(state: State, memory: Memory) -> State:
            said = {uri: readers for uri, readers in folder.acl.items() if uri not in memory["erased"]}
            return replace(state, access=replace(state.access, acl={**state.access.acl, **said}))

        return step

    def publish(state: State, memory: Memory) -> State:
        content = dict(memory["held"])
        for folder in folders:
            if sync:
                content = {u: title for u, title in content.items() if u in folder.content or not u.startswith(folder.name + "/")}
            content |= folder.content
        return replace(state, content={uri: title for uri, title in content.items() if uri not in memory["erased"]})

    return [look, *(bind(folder) for folder in folders), publish, *gc()]


def gc() -> list[Step]:
    """Take what was deleted out of the files."""

    def tidy(state: State, _: Memory) -> State:
        gone = state.access.erased
        stored = {identity: _without(content, gone) for identity, content in state.stored.items()}
        return replace(state, content=_without(state.content, gone), stored=stored)

    return [tidy]


def rollback(target: str) -> list[Step]:
    """Publish another snapshot that is stored."""
    return [lambda state, _: replace(state, content=state.stored[target])]


def delete(uri: str) -> list[Step]:
    """Ban a document."""
    return [lambda state, _: replace(state, access=replace(state.access, erased=state.access.erased | {uri}))]


def restore(uri: str) -> list[Step]:
    """Lift the ban: what its files still hold is back at once."""
    return [lambda state, _: replace(state, access=replace(state.access, erased=state.access.erased - {uri}))]


def allow(uri: str, readers: frozenset[str] | None) -> list[Step]:
    """Set a document's list, or take it away."""

    def step(state: State, _: Memory) -> State:
        acl = {other: who for other, who in state.access.acl.items() if other != uri}
        return replace(state, access=replace(state.access, acl=acl if readers is None else {**acl, uri: readers}))

    return [step]


def require(required: bool) -> list[Step]:
    """Say whether lists bind."""
    return [lambda state, _: replace(state, access=replace(state.access, required=required))]


def courses(start: State, acts: Sequence[Act]) -> tuple[list[State], list[State]]:
    """Return the states that may be in force while commands run at once, and those that may be when they ended."""
    passed: list[State] = []
    ends: list[State] = []
    for state, ended in _go(start, acts, (0,) * len(acts), ({},) * len(acts), frozenset()):
        if state not in passed:
            passed.append(state)
        if ended and state not in ends:
            ends.append(state)
    return passed, ends


def _go(
    state: State, acts: Sequence[Act], places: tuple[int, ...], memories: tuple[Memory, ...], stopped: frozenset[int]
) -> Iterator[tuple[State, bool]]:
    left = [n for n, act in enumerate(acts) if places[n] < len(act.steps) and n not in stopped]
    yield state, not left
    holding = [n for n in left if acts[n].locks and places[n]]
    for n in left:
        act = acts[n]
        if not act.whole:
            yield from _go(state, acts, places, memories, stopped | {n})
        if act.locks and holding and n not in holding:
            continue
        memory = dict(memories[n])
        after = act.steps[places[n]](state, memory)
        yield from _go(after, acts, _put(places, n, places[n] + 1), _put(memories, n, memory), stopped)


def _put(items: tuple[Any, ...], n: int, item: Any) -> tuple[Any, ...]:
    return (*items[:n], item, *items[n + 1 :])


def unlike(there: State, told: State) -> str:
    """Return how what is there differs from what may be, for a person."""
    pairs = {
        "content": (there.content, told.content),
        "acl": (there.access.acl, told.access.acl),
        "erased": (dict.fromkeys(there.access.erased), dict.fromkeys(told.access.erased)),
        "required": ({"": there.access.required}, {"": told.access.required}),
    }
    said = [
        f"{name} {key}: there {is_.get(key, 'nothing')}, may be {may.get(key, 'nothing')}"
        for name, (is_, may) in pairs.items()
        for key in sorted({*is_, *may})
        if (key in is_, is_.get(key)) != (key in may, may.get(key))
    ]
    return "; ".join(said)


def _without(content: Content, gone: frozenset[str]) -> Content:
    return {uri: title for uri, title in content.items() if uri not in gone}


@dataclass(frozen=True)
class Window:
    """A time in which commands ran, and what was so meanwhile and after."""

    began: float
    ended: float
    passed: Sequence[State]
    after: State
    taken: frozenset[str] = frozenset()
    """Documents that were taken out of the files of every snapshot meanwhile, of those that still serve too."""


class History:
    """Everything that was so, in order: windows never overlap."""

    def __init__(self, first: State) -> None:
        self.windows = [Window(0.0, 0.0, (first,), first)]

    @property
    def now(self) -> State:
        """What is so since the last command ended."""
        return self.windows[-1].after

    def add(self, window: Window) -> None:
        """Note what commands did."""
        self.windows.append(window)

    def during(self, since: float, until: float) -> list[State]:
        """Return every state that may have been in force at some time from ``since`` to ``until``, the newest first."""
        found: list[State] = []
        for window in reversed(self.windows):
            if window.ended < since:  # it was over, and what it left was in force
                found.append(window.after)
                break
            if window.began <= until:
                found += [window.after, *window.passed]
        return found

    def taken(self, since: float, until: float) -> frozenset[str]:
        """Return the documents that were taken out of files at some time from ``since`` to ``until``."""
        return frozenset().union(*(w.taken for w in self.windows if w.ended >= since and w.began <= until))

    def restored(self, uri: str, since: float, until: float) -> bool:
        """Whether a deleted document may have been restored at some time from ``since`` to ``until``."""
        windows = [window for window in self.windows if window.began >= since and window.began <= until]
        return any(uri not in state.access.erased for window in windows for state in (*window.passed, window.after))

    def deletions(self, uri: str | None, since: float, until: float) -> Iterator[Window]:
        """Yield the windows that overlap a time and in which a document, or any, may have been deleted."""
        for before, window in zip(self.windows, self.windows[1:], strict=False):
            if window.ended >= since and window.began <= until:
                new = frozenset().union(*(state.access.erased for state in window.passed)) - before.after.access.erased
                if uri in new or (uri is None and new):
                    yield window
