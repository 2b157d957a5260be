"""Stores to push to and pull from, and machines around them: each a folder of its own."""

from collections.abc import Mapping
from pathlib import Path

from app.core import snapshot
from app.core.config import RetainSettings
from app.core.snapshot.head import read_head
from app.core.snapshot.pull import Pulled, pull
from app.core.snapshot.store import Store
from app.core.types import document_id
from ingest.gc import collect
from ingest.publish import exclusive, previous, publish, without
from ingest.push import Remote
from tests.indexes import BUILT_WITH, NOTES, new, part

KEEP = RetainSettings(snapshots=2, hours=0)


class Books:
    """The database, as far as cleaning up asks it."""

    def __init__(self, erased: frozenset[str] = frozenset()) -> None:
        self._erased = frozenset(document_id("docs", uri) for uri in erased)
        self.told: list[frozenset[str]] = []

    def masked(self) -> frozenset[str]:
        return self._erased

    def named(self) -> frozenset[str]:
        return frozenset()

    def removed(self, documents: frozenset[str]) -> None:
        self.told.append(documents)


def ingest(url: str, root: Path, wanted: Mapping[str, str], *, keep: RetainSettings = KEEP) -> str:
    """Publish just these texts by uri, as an ingest does: what did not change stays in its segment."""
    with exclusive(root, "docs"):
        remote = Remote(Store(url), root, "docs")
        remote.catch_up()
        held, there = previous(root, "docs"), content(root)
        fresh = {uri: text for uri, text in wanted.items() if there.get(uri) != text}
        gone = {document_id("docs", uri) for uri in {*there} - {*wanted} | {*fresh}}
        parts = without(held, gone)
        if fresh:
            parts.append(part(root, [new(uri, text) for uri, text in fresh.items()], fresh))
        known = held.segments if held else ()
        made, _ = publish(root, "docs", parts, built_with=BUILT_WITH, notes=NOTES, known=known, copies=[remote])
        collect(root, "docs", keep, Books(), thorough=False, copies=[remote])
    return made.snapshot_id


def clean(url: str, root: Path, erased: frozenset[str]) -> Books:
    """Clean up, as ``citewell index gc`` does."""
    books = Books(erased)
    with exclusive(root, "docs"):
        remote = Remote(Store(url), root, "docs")
        remote.catch_up()
        collect(root, "docs", KEEP, books, copies=[remote])
    return books


def roll_back(url: str, root: Path, target: str) -> None:
    """Publish an earlier snapshot again, as ``citewell index rollback`` does."""
    with exclusive(root, "docs"):
        remote = Remote(Store(url), root, "docs")
        remote.catch_up()
        remote.point(target)
        snapshot.publish(root, "docs", target)


def fetch(url: str, root: Path) -> Pulled:
    """Pull once, as a replica does."""
    store = Store(url)
    head = read_head(store, "docs")
    assert head is not None
    return pull(store, root, "docs", head)


def content(root: Path) -> dict[str, str]:
    """Return what is published here by uri, every file of it checked."""
    if snapshot.current_id(root, "docs") is None:
        return {}
    return content_of(root, snapshot.open_current(root, "docs"))


def content_of(root: Path, opened: snapshot.Snapshot) -> dict[str, str]:
    """Return a snapshot's texts by uri, every file of it checked."""
    assert list(snapshot.verify(opened)) == []
    return {document.uri: opened.texts.read(document.revision) for document in opened.documents()}
