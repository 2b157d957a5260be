"""Law 5 as a property: whatever is published, deleted, restored, cleaned up and rolled back, no reader finds what is deleted."""

from collections.abc import Mapping
from contextlib import nullcontext
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from app.core import snapshot
from app.core.config import RetainSettings, Settings
from app.core.db import access, collections
from app.core.db.engine import open_ledger, transaction
from app.core.milvus import within
from app.core.types import LOCAL, document_id
from app.erase import erase, find
from app.live import access_of
from app.retrieve import FILES, Access, Retriever
from app.retrieve.milvus import MilvusDense
from ingest.elsewhere import Elsewhere
from ingest.gc import collect
from ingest.publish import exclusive, previous, publish, without
from ingest.records import Records
from tests import milvus
from tests.conftest import make_settings
from tests.indexes import BUILT_WITH, DIM, EMBEDDER, NOTES, embed, new, part
from tests.milvus import Lite

URIS = tuple("abcde")
_RETAIN = RetainSettings(snapshots=1000)  # a reader of the oldest one still reads its texts


def canary(uri: str) -> str:
    """Return a word that stands in one document alone, in each version of it."""
    return f"canary{uri}{uri}"


def ghosts(home: Settings, lite: Lite | None = None) -> type[RuleBasedStateMachine]:
    """Return a machine over one database and any number of collections; vectors are searched in Milvus where it is given."""
    engine = open_ledger(home)
    numbers = count()

    class Ghosts(RuleBasedStateMachine):
        """The model: what the last ingest was given, and what is deleted."""

        def __init__(self) -> None:
            super().__init__()
            self.name = f"c{next(numbers)}"
            self.erased: set[str] = set()
            self.held: set[str] = set()
            self.ever: set[str] = set()
            self.readers: list[Retriever] = []

        # ------------------------------------------------------------------------------- what happens

        @initialize(uris=st.sets(st.sampled_from(URIS), min_size=1))
        def begin(self, uris: set[str]) -> None:
            with transaction(engine) as session:
                collections.add(session, self.name, tenant="default")
            self.ingest(dict.fromkeys(sorted(uris), 1))

        @rule(sources=st.dictionaries(st.sampled_from(URIS), st.integers(1, 3), min_size=1))
        def ingest(self, sources: Mapping[str, int]) -> None:
            """As an ingest with --sync: what is banned stays away, the rest is published, and what was deleted is cleaned up."""
            books = Records(engine, self.name)
            wanted = {uri: f"{canary(uri)} version {n}" for uri, n in sources.items() if self._id(uri) not in books.erased()}
            with exclusive(home.indexes_dir, self.name):
                held = previous(home.indexes_dir, self.name)
                documents = [new(uri, text, collection=self.name) for uri, text in wanted.items()]
                parts = without(held, set(held.ids) if held else set())
                if documents:
                    parts.append(part(home.indexes_dir, documents, wanted, collection=self.name))
                copies = self._copies(books)
                publish(home.indexes_dir, self.name, parts, built_with=BUILT_WITH, notes=NOTES, copies=copies)
                collect(home.indexes_dir, self.name, _RETAIN, books, thorough=False, copies=copies)
            self.held = set(wanted)
            self.ever |= self.held

        @precondition(lambda self: self.ever)
        @rule(data=st.data())
        def delete(self, data: st.DataObject) -> None:
            uri = data.draw(st.sampled_from(sorted(self.ever)))
            stored = [snapshot.open_snapshot(home.indexes_dir, self.name, one) for one in self._stored()]
            if any(made.place(self._id(uri)) for made in stored):
                receipt = erase(home, engine, find(home, uri, self.name))
                assert receipt["probe"]["hits"] == 0
                assert len(receipt["snapshots"]) == sum(made.place(self._id(uri)) is not None for made in stored)
            else:
                with transaction(engine) as session:
                    access.erase(session, self.name, self._id(uri))
            self.erased.add(uri)

        @precondition(lambda self: self.erased)
        @rule(data=st.data())
        def restore(self, data: st.DataObject) -> None:
            uri = data.draw(st.sampled_from(sorted(self.erased)))
            with transaction(engine) as session:
                assert access.restore(session, self.name, self._id(uri))
            self.erased.discard(uri)
            self.readers = []  # a server looks at the files anew when the epoch rises

        @rule()
        def clean(self) -> None:
            before = {one: self._content(one) for one in self._stored()}
            books = Records(engine, self.name)
            with exclusive(home.indexes_dir, self.name):
                collect(home.indexes_dir, self.name, _RETAIN, books, copies=self._copies(books))
            after = {one: self._content(one) for one in self._stored()}
            assert after == {one: before[one] - self.erased for one in after}
            files = [path.read_bytes() for path in (home.indexes_dir / self.name).rglob("*") if path.is_file()]
            assert not [uri for uri in self.erased if any(canary(uri).encode() in held for held in files)]
            assert books.masked() == frozenset()
            if lite is not None:
                gone = within("document", [self._id(uri) for uri in self.erased])
                assert not self.erased or lite.server.vectors(self.name, DIM).count(gone) == 0

        @rule(data=st.data())
        def roll_back(self, data: st.DataObject) -> None:
            target = data.draw(st.sampled_from(self._stored()))
            with exclusive(home.indexes_dir, self.name):
                snapshot.publish(home.indexes_dir, self.name, target)

        @rule()
        def start_a_worker(self) -> None:
            self.readers.append(self._reader(snapshot.open_current(home.indexes_dir, self.name)))

        # ------------------------------------------------------------------------------- what must hold

        @invariant()
        def nobody_finds_what_is_deleted(self) -> None:
            if not self._stored():
                return
            with transaction(engine, reads=True) as session:
                standing = access.standing(session, self.name)
                now = access_of(session, self.name, standing) if standing else Access()
            fresh = [self._reader(snapshot.open_snapshot(home.indexes_dir, self.name, one)) for one in self._stored()]
            for reader in [*self.readers, *fresh]:
                within = reader.readable(now, LOCAL, {})
                shown = {hit.chunk.document.uri for hit in reader.search("canary version", k=50, within=within)}
                assert shown == {document.uri for document in reader.snapshot.documents()} - self.erased
                for uri in self.erased:
                    hits = reader.search(canary(uri), k=50, within=within)
                    assert not [hit for hit in hits if canary(uri) in hit.chunk.text]
                    assert within.document(reader.snapshot, self._id(uri)) is None

        def _id(self, uri: str) -> str:
            return document_id(self.name, uri)

        def _stored(self) -> list[str]:
            return snapshot.stored(home.indexes_dir, self.name)

        def _reader(self, opened: snapshot.Snapshot) -> Retriever:
            dense = MilvusDense(lite.server, lambda *_: frozenset()) if lite is not None else FILES
            return Retriever(opened, embed, EMBEDDER, dense=dense)

        def _copies(self, books: Records) -> list[Elsewhere]:
            return [] if lite is None else [Elsewhere(lite.server, home.indexes_dir, self.name, books)]

        def _content(self, identity: str) -> set[str]:
            opened = snapshot.open_snapshot(home.indexes_dir, self.name, identity)
            assert list(snapshot.verify(opened)) == []
            return {document.uri for document in opened.documents()}

    return Ghosts


@pytest.mark.slow
@pytest.mark.parametrize(("side", "examples"), [("files", 50), ("milvus", 10)])
def test_law_5_nobody_finds_what_is_deleted(tmp_path: Path, cache_dir: Path, side: str, examples: int):
    with milvus.running(tmp_path) if side == "milvus" else nullcontext() as lite:
        machine = ghosts(make_settings(tmp_path / "home", cache_dir), lite)
        _run(machine, examples)


def _run(machine: type[RuleBasedStateMachine], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=[*HealthCheck]),
    )
