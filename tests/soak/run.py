"""The soak, whole: choose commands, run them, look at what is there, judge what the server said meanwhile."""

import queue
import time
from collections.abc import Sequence, Set
from pathlib import Path
from random import Random
from signal import SIGTERM
from typing import TextIO

from tests.soak.chance import Chooser, Job
from tests.soak.clients import Clients, Seen, shown
from tests.soak.judge import FOLLOW_S, PATIENCE_S, Judge
from tests.soak.library import Library, Source
from tests.soak.model import History, State, Window, courses, unlike
from tests.soak.tally import Tally
from tests.soak.world import World, pause

_CALM_EVERY = 12
"""Commands between two pauses that are long enough for the server to follow: only one state explains a response then."""
_SAID_EVERY_S = 10.0


class Difference(Exception):
    """What is so is not what the model says."""


class Soak:
    """One run."""

    def __init__(self, folder: Path, exported: Path, *, seed: int, out: TextIO, workers: int = 2) -> None:
        """Make a world.

        Args:
            folder: An empty one.
            exported: Where the exported embedder lies.
            seed: Decides documents, commands and questions; instants are the machine's.
            out: Told how it goes.
            workers: Processes that serve.
        """
        self._chance = Random(seed)
        self._seed, self._out, self._workers = seed, out, workers
        self._library = Library(self._chance)
        self._sources = [Source(folder / name, self._library, self._chance) for name in ("wiki", "notes")]
        self._world = World(folder, exported, retain_s=PATIENCE_S + 5)
        self._history = History(State({}))
        self._known: dict[str, dict[str, str]] = {}
        """What each snapshot held when it was first seen, by id: what it holds for good, but for what is deleted."""
        self._judge = Judge(self._history, self._library, self._known)
        self._chooser = Chooser(self._chance, self._history, self._sources)
        self._recent: list[str] = []
        self._began = self._told = time.monotonic()
        self.tally = Tally()

    def run(self, *, seconds: float, commands: int | None = None) -> None:
        """Soak.

        Args:
            seconds: How long.
            commands: After how many commands it ends before.

        Raises:
            Difference: What is so is not what the model says.
        """
        try:
            self._begin()
            with self._world.serving(self._workers) as server:
                clients = Clients(server.url, self._world.keys, self._library, self._seed)
                with clients:
                    until = time.monotonic() + seconds
                    while time.monotonic() < until and (commands is None or self.tally.commands.total() < commands):
                        self._turn(clients)
                    pause(FOLLOW_S + 1)
                self._judge_all(clients)
                server.process.terminate()
                if server.process.wait(60) not in (0, -SIGTERM):  # one worker ends by the signal itself
                    raise self._differs("the server did not end well", server.log.read_text()[-2000:])
            self._books(ended=True)
        finally:
            self._world.close()

    def _turn(self, clients: Clients) -> None:
        jobs = self._chooser.next()
        if not jobs:
            return
        if jobs[0].name == "rest":  # until the server has followed
            pause(FOLLOW_S + 0.5)
            return
        self._execute(jobs)
        self._judge_all(clients)
        if self._chooser.hurry:
            return
        if self.tally.commands.total() % _CALM_EVERY == 0:
            pause(FOLLOW_S + self._chance.uniform(1, 2))
            self._judge_all(clients)
            self._books()
        else:
            pause(self._chance.choice((0, 0, 0, 0.1, 0.5)))
        if time.monotonic() > self._told + _SAID_EVERY_S:
            self._told = time.monotonic()
            self._say(self._line())

    def _begin(self) -> None:
        """Fill the sources, and publish something; the first ingests are killed, when nothing was ever published."""
        self._world.make_keys()
        self._sources[0].hold("anchor.md", self._library.write())
        for source in self._sources:
            for _ in range(8):
                source.edit()
            source.write()
        for _ in range(3):
            self._execute([self._killed(self._chooser.ingest_all())])
        self._execute([self._chooser.ingest_all()])

    @staticmethod
    def _killed(job: Job) -> Job:
        job.kill = True
        return job

    # ---------------------------------------------------------------------------------------- commands

    def _execute(self, jobs: Sequence[Job]) -> None:
        """Run commands, and look whether what is there now is what they may have left."""
        began = time.monotonic()
        before = self._history.now
        for number, job in enumerate(jobs):
            if number:
                pause(self._chance.uniform(0, self.tally.usual(jobs[0].name)))
            job.started = time.monotonic()
            job.command = self._world.start(*job.argv)
        for job in jobs:
            if job.kill and job.command:
                self._wait_to_kill(job)
                job.command.kill()
        for job in jobs:
            assert job.command is not None
            job.done = job.command.wait()
            job.took = time.monotonic() - job.started
            self._count(job)
        ended = time.monotonic()
        self.tally.at_once += len(jobs) > 1
        self._recent.append(f"{began - self._began:8.2f} to {ended - self._began:7.2f}  {'  &  '.join(map(str, jobs))}")
        for job in jobs:
            self._expected(job, alone=len(jobs) == 1)
        self._reconcile(jobs, before, began, ended)

    def _wait_to_kill(self, job: Job) -> None:
        """Wait for a random instant: of the command's whole time, or just after something changed on the disk."""
        assert job.command is not None
        usual = self.tally.usual(job.name)
        part = self._chance.choice((None, None, "texts", "segments", "snapshots", ""))
        if part is None:
            pause(job.started + self._chance.uniform(0, 1.2 * usual) - time.monotonic())
            return
        seen = self._world.changed(part)
        while self._world.changed(part) == seen and job.command.process.is_alive():
            pause(0.0005)
        pause(self._chance.uniform(0, 0.05))

    def _expected(self, job: Job, *, alone: bool) -> None:
        """Look at how a command ended."""
        assert job.done is not None
        if job.done.code == 0 or job.killed or (job.turned_away and job.locks and not alone):
            return
        if job.name == "rollback" and not alone and job.argv[3] not in self._world.stored():
            return  # the other one removed it first
        raise self._differs(f"`{job}` failed", job.done.out + job.done.err)

    def _reconcile(self, jobs: Sequence[Job], before: State, began: float, ended: float) -> None:
        passed, ends = courses(before, [job.act() for job in jobs])
        try:
            now = self._world.state(self._library)
        except Exception as error:
            raise self._differs("what is there can't be opened", f"{type(error).__name__}: {error}") from error
        if now not in ends:
            raise self._differs(
                "what is there is not what the commands may leave", "\nor ".join(unlike(now, end) for end in ends)
            )
        taken = {uri for one, content in before.stored.items() for uri in content if uri not in now.stored.get(one, content)}
        self._history.add(Window(began, ended, passed, now, frozenset(taken)))
        self.tally.states += now != before
        self._look_at_stored(now, before, jobs)
        self._look_at_receipts(now, jobs)
        if any(job.killed for job in jobs) and self._world.current():
            sound = self._world.run("index", "verify")
            if sound.code:
                raise self._differs("after a kill, `index verify` says", sound.out + sound.err)

    def _look_at_stored(self, now: State, before: State, jobs: Sequence[Job]) -> None:
        """A snapshot holds what it always held, but for what was deleted; a whole clean-up leaves nothing of that."""
        erased = before.access.erased | now.access.erased
        for identity, content in now.stored.items():
            full = self._known.setdefault(identity, dict(content))
            full |= {uri: title for uri, title in content.items() if uri not in full}
            last = before.stored.get(identity, {})
            lost = {uri for uri in last if uri not in content} - erased
            if full != {**full, **content} or lost:
                raise self._differs(f"{identity} holds other documents than it did", f"was {last}\nis  {dict(content)}")
        if any(job.name in ("gc", "ingest", "ingest both") and job.done and job.done.code == 0 for job in jobs):
            gone = before.access.erased & now.access.erased
            left = [f"{one}: {sorted(gone & set(held))}" for one, held in now.stored.items() if gone & set(held)]
            if left := [*left, *self._world.haunted(self._ghostly(gone)), *(self._world.drafts() if len(jobs) == 1 else [])]:
                raise self._differs(
                    "after a clean-up, files hold what was deleted, or half-written ones are left", "\n".join(left)
                )

    def _look_at_receipts(self, now: State, jobs: Sequence[Job]) -> None:
        """A receipt says `removed` only when no file holds the document; vectors go with the document."""
        removed = {self._library.uris[one] for one in self._world.removed()}
        left = [f"{one}: {sorted(removed & set(content))}" for one, content in now.stored.items() if removed & set(content)]
        if left:
            raise self._differs("a receipt says `removed`, and files hold the document", "\n".join(left))
        for job in jobs:
            if job.name == "delete" and job.uri and len(jobs) == 1 and not job.killed and self._world.cached(job.uri):
                raise self._differs(f"vectors of {job.uri} are still cached", "")

    def _ghostly(self, gone: Set[str]) -> set[str]:
        """Return the canaries of every version that some documents ever had, but for those that a copy of their text has."""
        ever = {
            uri: {w for source in self._sources for v in source.ever(uri) for w in v.canaries}
            for uri in self._library.uris.values()
        }
        alive: set[str] = set().union(*(words for uri, words in ever.items() if uri not in gone))
        return set().union(*(words for uri, words in ever.items() if uri in gone)) - alive

    def _count(self, job: Job) -> None:
        self.tally.command(job.name, job.took, killed=job.killed, turned_away=job.turned_away)

    # ---------------------------------------------------------------------------------------- requests

    def _judge_all(self, clients: Clients) -> None:
        """Judge what was seen so far: no command runs now, so all that could explain it is known."""
        while True:
            try:
                seen = clients.seen.get_nowait()
            except queue.Empty:
                return
            self.tally.request(seen.kind, seen.status, seen.ended - seen.began)
            fault = self._judge.look(seen)
            if fault:
                raise self._differs(fault, self._request(seen))

    def _request(self, seen: Seen) -> str:
        return f"{seen.began - self._began:8.3f} to {seen.ended - self._began:7.3f}  {shown(seen)}"

    def _books(self, *, ended: bool = False) -> None:
        """Look into the database: nothing of a deleted document stands in an answer; at the end, every answer is settled."""
        gone = self._history.now.access.erased
        found = self._world.ghosts_in_books(self._ghostly(gone))
        if found:
            raise self._differs("the books hold what was deleted", "\n".join(found))
        if ended and (open_ := self._world.unsettled()):
            raise self._differs("the books have rows that are not settled", "\n".join(open_))

    # ---------------------------------------------------------------------------------------- telling

    def _differs(self, what: str, detail: str) -> Difference:
        last = "\n".join(self._recent[-15:])
        edits = "\n".join(self._chooser.edits[-10:])
        now = time.monotonic() - self._began
        return Difference(
            f"seed {self._seed}, {now:.1f} s: {what}\n{detail}\n\nThe last commands:\n{last}\n\nThe last edits:\n{edits}\n\n"
            f"The model says: {self._history.now.access}\n{dict(self._history.now.content)}"
        )

    def _say(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def summary(self) -> str:
        """Return what was done, as tables."""
        late = self._judge.late
        follow = f"{len(late):,} responses, by at most {max(late):.0f} s in all" if late else "none"
        return "\n".join(
            [self.tally.tables(), "", f"Later than {FOLLOW_S:.0f} s behind a published snapshot: {follow}.", self._line()]
        )

    def _line(self) -> str:
        return f"{time.monotonic() - self._began:6.0f} s  {self.tally.line()}"
