"""Which commands come next: one, or two at once; some are killed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.soak import model
from tests.soak.children import Command, Done
from tests.soak.library import Source, some_readers
from tests.soak.model import Act, History, Step

_KILLED = {"ingest": 0.5, "ingest both": 0.5, "gc": 0.6, "rollback": 0.5, "delete": 0.2, "restore": 0.2}
"""The share of each command that is killed."""
_AT_ONCE = 0.3
_IN_A_ROW = 0.08
_ANCHOR = "anchor.md"
LOCKED = "Another ingest into"


@dataclass
class Job:
    """A command, and what it does in the model."""

    name: str
    argv: tuple[str, ...]
    steps: Callable[[Done], Sequence[Step]]
    """Called once it ended: its output may say more."""
    locks: bool = False
    kill: bool = False
    to_itself: bool = False
    """Whether only its output says what it did, so that it must end."""
    uri: str | None = None
    command: Command | None = None
    done: Done | None = None
    started: float = 0.0
    took: float = 0.0

    @property
    def killed(self) -> bool:
        """Whether it was killed before it ended."""
        return self.done is not None and self.done.code == -9

    @property
    def turned_away(self) -> bool:
        """Whether another command held the lock."""
        return self.done is not None and self.done.code == 1 and LOCKED in self.done.err

    def act(self) -> Act:
        """Return what it did, as the model tells it, once it ended."""
        assert self.done is not None
        return Act([] if self.done.code == 1 else self.steps(self.done), self.locks, whole=not self.killed)

    def __str__(self) -> str:
        ended = "" if self.done is None else f" -> {self.done.code}" + (" (turned away)" if self.turned_away else "")
        return f"{' '.join(self.argv)}{ended}"


@dataclass
class Chooser:
    """Draws commands that make sense for what is there."""

    chance: Random
    history: History
    sources: Sequence[Source]
    edits: list[str] = field(default_factory=list)
    """What was done to the sources, for a person."""
    hurry: bool = False
    """Whether the next command follows at once."""
    _next: list[Callable[[], Job | None]] = field(default_factory=list)

    def next(self) -> list[Job]:
        """Return what runs next: one command, or two at once."""
        if not self._next and self.chance.random() < _IN_A_ROW:
            self._plan()
        self.hurry = len(self._next) > 1
        if self._next:
            job = self._next.pop(0)()
            return [job] if job else []
        if self.chance.random() < _AT_ONCE:
            first = self.chance.choice((self._ingest, self._ingest, self._gc))()
            others: dict[Callable[[], Job | None], int] = {
                self._ingest: 3, self._delete: 2, self._gc: 1, self._restore: 1, self._allow: 1, self._require: 1, self._roll_back: 1,
            }  # fmt: skip
            (other,) = self.chance.choices([*others], [*others.values()])
            second = other()
            jobs = [job for job in (first, second) if job]
            self.chance.shuffle(jobs)
            if self.chance.random() < 0.4 and jobs:
                self.chance.choice(jobs).kill = True
            return [job for job in jobs if not job.to_itself]
        ways: dict[Callable[[], Job | None], int] = {
            self._ingest: 34, self._ingest_both: 8, self._gc: 12, self._roll_back: 9, self._delete: 12, self._restore: 9,
            self._allow: 10, self._require: 5, self._look: 3, self._dry_run: 2,
        }  # fmt: skip
        (way,) = self.chance.choices([*ways], [*ways.values()])
        job = way()
        if job is None:
            return []
        if not job.to_itself and self.chance.random() < _KILLED.get(job.name, 0):
            job.kill = True
        return [job]

    def _plan(self) -> None:
        """Have a document deleted, taken out of the files and brought back, faster than a server follows."""
        uri = self._some(lambda uri: uri not in self.history.now.access.erased and not uri.endswith(_ANCHOR))
        if not uri:
            return
        delete = partial(Job, "delete", ("docs", "delete", uri, "--json"), lambda _: model.delete(uri), uri=uri)
        restore = partial(Job, "restore", ("docs", "restore", uri, "--json"), lambda _: model.restore(uri), uri=uri)
        between = self.chance.choice(
            ([self._gc], [self._ingest, self._gc], [self._roll_back, self._rest, self._gc], [self._ingest], [])
        )
        self._next = [delete, *between, restore, *self.chance.choice(([], [self._ingest_both], [self._roll_back]))]

    def _rest(self) -> Job:
        return Job("rest", (), lambda _: [])

    def ingest_all(self) -> Job:
        """Return an ingest of every source."""
        return self._ingest_both()

    def _edited(self, source: Source) -> Source:
        for _ in range(self.chance.choice((0, 1, 1, 2, 4))):
            self.edits.append(source.edit())
        return source

    def _ingest(self) -> Job:
        return self._ingesting("ingest", [self._edited(self.chance.choice(self.sources))])

    def _ingest_both(self) -> Job:
        return self._ingesting("ingest both", [self._edited(source) for source in self.sources])

    def _ingesting(self, name: str, sources: Sequence[Source]) -> Job:
        sync = self.chance.random() < 0.5
        argv = (
            "ingest",
            *(str(source.path) for source in sources),
            *(("--sync", "--accept-shrinkage") if sync else ()),
            "--json",
        )
        return Job(name, argv, lambda _: model.ingest([source.folder() for source in sources], sync=sync), locks=True)

    def _dry_run(self) -> Job:
        return Job("dry run", ("ingest", str(self.sources[0].path), "--dry-run", "--json"), lambda _: [], locks=True)

    def _gc(self) -> Job:
        return Job("gc", ("index", "gc", "--json"), lambda _: model.gc(), locks=True)

    def _roll_back(self) -> Job | None:
        now = self.history.now
        targets = [identity for identity, content in now.stored.items() if content != now.content]
        if not targets:
            return None
        if self.chance.random() < 0.4:

            def said(done: Done) -> list[Step]:
                return model.rollback(done.json["snapshot"])

            return Job("rollback", ("index", "rollback", "--json"), said, locks=True, to_itself=True)
        target = self.chance.choice(targets)
        return Job("rollback", ("index", "rollback", "--to", target, "--json"), lambda _: model.rollback(target), locks=True)

    def _delete(self) -> Job | None:
        uri = self._some(lambda uri: uri not in self.history.now.access.erased and not uri.endswith(_ANCHOR))
        return Job("delete", ("docs", "delete", uri, "--json"), lambda _: model.delete(uri), uri=uri) if uri else None

    def _restore(self) -> Job | None:
        erased = sorted(self.history.now.access.erased)
        if not erased:
            return None
        uri = self.chance.choice(erased)
        return Job("restore", ("docs", "restore", uri, "--json"), lambda _: model.restore(uri), uri=uri)

    def _allow(self) -> Job | None:
        uri = self._some(lambda uri: uri not in self.history.now.access.erased)
        if not uri:
            return None
        readers = None if self.chance.random() < 0.1 else some_readers(self.chance)
        named = [part for who in sorted(readers or ()) for part in ("--allow", who)]
        args = ["--clear"] if readers is None else named or ["--nobody"]
        return Job("acl", ("docs", "acl", uri, *args, "--json"), lambda _: model.allow(uri, readers), uri=uri)

    def _require(self) -> Job:
        required = self.chance.random() < 0.75  # lists that bind are more to look at
        return Job("acl mode", ("index", "acl", "required" if required else "off", "--json"), lambda _: model.require(required))

    def _look(self) -> Job:
        argv = self.chance.choice((("index", "list"), ("index", "show"), ("index", "verify"), ("docs", "list")))
        return Job("look", (*argv, "--json"), lambda _: [])

    def _some(self, wanted: Callable[[str], bool]) -> str | None:
        named = sorted(uri for uri in self.history.now.content if wanted(uri))
        return self.chance.choice(named) if named else None
