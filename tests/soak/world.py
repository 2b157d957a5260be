"""The real thing: commands in child processes, a server with keys, and what lies on the disk and in the database."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlmodel import select

from app.core import snapshot
from app.core.config import Settings, load_settings
from app.core.db import access
from app.core.db.engine import open_engine, transaction
from app.core.db.tables import AnswerContentRow, AnswerRow, ModelCallRow
from tests.serving import Process, as_process
from tests.soak.children import Children, Command, Done
from tests.soak.library import COLLECTION, Library, canaries, document_id
from tests.soak.model import Access, Content, State, Who

PEOPLE = (
    Who("ann", frozenset({"ann", "staff"})),
    Who("bob", frozenset({"bob", "staff"})),
    Who("eve", frozenset()),
    Who("root", frozenset(), admin=True),
)


class World:
    """A home of its own, with its collection, server and keys."""

    def __init__(self, folder: Path, exported: Path, *, retain_s: float) -> None:
        """Make the home.

        Args:
            folder: Where everything lies.
            exported: The folder that holds the exported embedder.
            retain_s: How long a snapshot is kept beside the last three, for a server that follows late.
        """
        self.folder = folder
        home = folder / "home"
        (home / "cache").mkdir(parents=True)
        for path in exported.glob("*.onnx"):
            (home / "cache" / path.name).symlink_to(path)
        self.env = {
            "CITEWELL_HOME": str(home),
            "CITEWELL_INDEXES_DIR": str(home / "indexes"),
            "CITEWELL_INGEST__CHUNK_PIECES": "48",  # a paragraph or two
            "CITEWELL_RETAIN__SNAPSHOTS": "3",
            "CITEWELL_RETAIN__HOURS": str(retain_s / 3600),
            "HF_HUB_OFFLINE": "1",
        }
        self.keys: dict[str, str] = {}
        self._children = Children(folder, self.env)

    @cached_property
    def settings(self) -> Settings:
        """As the commands read them."""
        return load_settings(self.env)

    @cached_property
    def _engine(self) -> Any:
        return open_engine(self.settings.database_url)

    def start(self, *argv: str) -> Command:
        """Run ``citewell`` with some arguments."""
        return self._children.start(*argv)

    def run(self, *argv: str) -> Done:
        """Run it to its end."""
        return self.start(*argv).wait()

    def make_keys(self) -> None:
        """Give everyone a key: from then on the server is closed to whoever has none."""
        for who in PEOPLE:
            scopes = ["answer", "search", "documents", *(["admin"] if who.admin else [])]
            args = [
                *(a for s in scopes for a in ("--scope", s)),
                *(a for p in sorted(who.principals) for a in ("--principal", p)),
            ]
            self.keys[who.name] = self.run("keys", "create", "--name", who.name, *args, "--json").json["key"]

    @contextmanager
    def serving(self, workers: int) -> Iterator[Process]:
        """Run the server."""
        with as_process(self.env, self.folder, "--workers", str(workers)) as server:
            yield server

    # ------------------------------------------------------------------------------------- what is there

    def current(self) -> str | None:
        """Return the id of the published snapshot."""
        return snapshot.current_id(self.settings.indexes_dir, COLLECTION)

    def changed(self, part: str) -> int:
        """Return when a folder of the collection changed last."""
        try:
            return (self.settings.indexes_dir / COLLECTION / part).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def stored(self) -> dict[str, Content]:
        """Return what each stored snapshot holds, after checking it against its hashes."""
        root = self.settings.indexes_dir
        opened = (snapshot.open_snapshot(root, COLLECTION, identity) for identity in snapshot.stored(root, COLLECTION))
        return {made.snapshot_id: {d.uri: d.title for d in made.documents()} for made in opened}

    def state(self, library: Library) -> State:
        """Return what is so, while nothing runs."""
        stored, current = self.stored(), self.current()
        with transaction(self._engine, reads=True) as session:
            erased = access.erased(session, COLLECTION)
            readers = access.readers(session, COLLECTION)
            standing = access.standing(session, COLLECTION)
        acl = {library.uris[one]: who for one, who in readers.items() if who is not None}
        said = Access(frozenset(library.uris[one] for one in erased), acl, bool(standing and standing.acl_required))
        return State(stored[current] if current else {}, said, stored)

    def haunted(self, words: set[str]) -> list[str]:
        """Return the files below the indexes that hold one of some canaries, and which."""
        pattern = re.compile("|".join(sorted(words)).encode())
        files = (path for path in self.settings.indexes_dir.rglob("*") if path.is_file())
        found = ((path, set(pattern.findall(path.read_bytes()))) for path in files) if words else ()
        return [f"{path.relative_to(self.settings.indexes_dir)}: {sorted(held)}" for path, held in found if held]

    def drafts(self) -> list[str]:
        """Return the half-written files below the indexes that a clean-up leaves no room for; texts wait for a thorough one."""
        root = self.settings.indexes_dir
        return sorted(str(path.relative_to(root)) for path in root.rglob("*.tmp") if path.parent.name != "texts")

    def removed(self) -> list[str]:
        """Return the ids of the deleted documents whose receipt says that no file holds them."""
        with transaction(self._engine, reads=True) as session:
            return [row.document_id for row in access.erasures(session, COLLECTION) if row.receipt.get("state") == "removed"]

    def cached(self, uri: str) -> int:
        """Return how many vectors are cached for a document."""
        count = 0
        for path in self.settings.cache_dir.glob("vectors-*.db"):
            with closing(sqlite3.connect(path)) as db:
                count += db.execute("SELECT COUNT(*) FROM uses WHERE document_id = ?", (document_id(uri),)).fetchone()[0]
        return count

    def ghosts_in_books(self, words: set[str]) -> list[str]:
        """Return the answers whose stored text, body or prompt holds one of some canaries."""
        with transaction(self._engine, reads=True) as session:
            rows = session.exec(select(AnswerContentRow)).all()
        said = {r.answer_id: canaries(f"{r.text} {r.body} {json.dumps(r.rendered)}") - canaries(r.question) for r in rows}
        return [f"{answer}: {sorted(held & words)}" for answer, held in said.items() if held & words]

    def unsettled(self) -> list[str]:
        """Return the answers that are still running, and the calls that are still pending."""
        with transaction(self._engine, reads=True) as session:
            answers = session.exec(select(AnswerRow.id).where(AnswerRow.status == "running")).all()
            calls = session.exec(select(ModelCallRow.id).where(ModelCallRow.state == "pending")).all()
        return [*answers, *calls]

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def pause(seconds: float) -> None:
    """Let the world turn."""
    time.sleep(max(0.0, seconds))
