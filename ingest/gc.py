"""What no snapshot, answer or reader needs any more -> gone; what was erased -> out of the files of every snapshot that is kept."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from app.core import snapshot
from app.core.config import RetainSettings
from app.core.errors import IndexUnusable
from app.core.snapshot import Flags, Segment, Snapshot
from ingest.publish import Copies


class Books(Protocol):
    """What the database knows."""

    def masked(self) -> frozenset[str]:
        """The erased documents that may still stand in files."""

    def named(self) -> frozenset[str]:
        """The revisions that stored answers need."""

    def removed(self, documents: frozenset[str]) -> None:
        """Told which of the erased are in no file any more."""


@dataclass
class Collected:
    """What a run removed."""

    snapshots: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    texts: int = 0
    erased: list[str] = field(default_factory=list)
    """Erased documents that were taken out of segments."""
    bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as ``citewell index gc --json`` prints it."""
        return {
            "snapshots": self.snapshots,
            "segments": self.segments,
            "texts": self.texts,
            "erased": self.erased,
            "bytes": self.bytes,
        }


def collect(
    root: Path,
    collection: str,
    retain: RetainSettings,
    books: Books,
    *,
    thorough: bool = True,
    copies: Sequence[Copies] = (),
) -> Collected:
    """Remove what is not needed. The collection's lock must be held.

    Kept are CURRENT, the snapshots published last, any within the soak time, and the texts that unerased answers name.

    Args:
        root: The folder of all collections.
        collection: Its name.
        retain: How much is kept.
        books: What the database knows.
        thorough: Look at every text, though nothing was removed that needed one; an ingest saves the time.
        copies: What is kept elsewhere of it, and so has to go there too.
    """
    done = Collected()
    base = snapshot.folder_of(root, collection)
    kept = _kept(root, collection, retain)
    for identity in snapshot.stored(root, collection):
        if identity not in kept:
            (base / "snapshots" / identity / "manifest.json").unlink()  # first: without it the rest is no snapshot
            shutil.rmtree(base / "snapshots" / identity)
            done.snapshots.append(identity)
    for draft in [draft for glob in (".*.tmp", "snapshots/*/.*.tmp", "segments/*/.*.tmp") for draft in base.glob(glob)]:
        draft.unlink()  # of a writer that was killed: whoever writes now holds the lock, and that is us
    if masked := books.masked():
        _take_out(root, collection, masked, done, copies)
    segments = {entry["id"] for manifest in _manifests(root, collection) for entry in manifest["segments"]}
    for folder in _entries(base / "segments"):
        if folder.name not in segments:
            done.bytes += sum(path.stat().st_size for path in folder.iterdir())
            shutil.rmtree(folder)
            done.segments.append(folder.name)
    if thorough or done.snapshots or masked:
        _drop_texts(root, collection, books.named(), done)
    for copy in copies:
        copy.settle(masked)
    if masked:
        books.removed(masked)  # last: a receipt says so only when it is, and killed before, the next run does it all again
    return done


def _manifests(root: Path, collection: str) -> list[dict[str, Any]]:
    """Return every stored manifest; one that can't be read stops the cleaning, since what it needs is not known."""
    return [snapshot.read_manifest(root, collection, identity) for identity in snapshot.stored(root, collection)]


def _drop_texts(root: Path, collection: str, named: frozenset[str], done: Collected) -> None:
    held = _opened(root, collection)
    needed = named | {document.revision for made in held for document in made.documents()}
    for path in _entries(snapshot.folder_of(root, collection) / "texts"):
        if path.name not in needed:
            done.bytes += path.stat().st_size
            path.unlink()
            done.texts += 1


def _kept(root: Path, collection: str, retain: RetainSettings) -> set[str]:
    current = snapshot.current_id(root, collection)
    history = snapshot.published(root, collection)
    recent = list(dict.fromkeys(identity for identity, _ in reversed(history)))[: retain.snapshots]
    since = datetime.now(UTC) - timedelta(hours=retain.hours)
    soaking = {identity for identity, at in history if at >= since}
    # What was published inside the soak time took over from another: its readers may still be there.
    before = {history[i - 1][0] for i, (_, at) in enumerate(history) if i and at >= since}
    return {*recent, *soaking, *before, *([current] if current else [])}


def _opened(root: Path, collection: str) -> list[Snapshot]:
    held: list[Snapshot] = []
    for identity in snapshot.stored(root, collection):
        known = [segment for made in held for segment in made.segments]
        held.append(snapshot.open_snapshot(root, collection, identity, reuse=known))
    return held


def _take_out(root: Path, collection: str, erased: frozenset[str], done: Collected, copies: Sequence[Copies]) -> None:
    """Write the segments again that hold erased documents, and the manifests that name them: ids stay, so releases stay."""
    held = _opened(root, collection)
    base = snapshot.folder_of(root, collection)
    names = np.array(sorted(erased), dtype="S24")
    segments: dict[str, Segment] = {segment.segment_id: segment for made in held for segment in made.segments}
    needed: dict[str, Flags] = {}
    for made in held:
        for segment, kept in zip(made.segments, made.kept, strict=True):
            needed[segment.segment_id] = needed.get(segment.segment_id, kept) | kept
    replaced: dict[str, tuple[Segment, Flags] | None] = {}
    for name, segment in segments.items():
        banned, asked = np.isin(segment.documents["id"], names), segment.asked
        # A large segment also holds vectors of sentences, from any document, that its search was tuned by.
        if banned.any() or (asked is not None and np.isin(asked.documents, names).any()):
            done.erased += [document.decode() for document in segment.documents["id"][banned]]
            left = needed[name] & ~banned
            ask = partial(asked.without, names) if asked is not None else None
            entry = snapshot.merge(base, segment.index.d, [(segment, left)], ask) if left.any() else None
            replaced[name] = (snapshot.open_segment(base, entry), left) if entry else None
    for made in held:
        if _uses(made, replaced):
            _rewrite(root, made, replaced, names, copies)


def _uses(made: Snapshot, replaced: dict[str, tuple[Segment, Flags] | None]) -> bool:
    return any(segment.segment_id in replaced for segment in made.segments)


def _rewrite(
    root: Path, made: Snapshot, replaced: dict[str, tuple[Segment, Flags] | None], names: Any, copies: Sequence[Copies]
) -> None:
    parts = []
    erased = made.erased
    for segment, kept in zip(made.segments, made.kept, strict=True):
        banned = kept & np.isin(segment.documents["id"], names)
        erased |= dict(snapshot.rows_of(segment, banned))
        if segment.segment_id not in replaced:
            parts.append((segment, kept))
        elif (new := replaced[segment.segment_id]) is not None:
            other, left = new
            parts.append((other, kept[left]))
    notes = {name: made.manifest[name] for name in made.manifest if name in ("created", "sources", "spread")}
    again = snapshot.compose(root, made.collection, parts, built_with=made.built_with, notes=notes, erased=erased)
    faults = list(snapshot.verify(again, known=made.segments))
    if faults or again.snapshot_id != made.snapshot_id:
        raise IndexUnusable(f"A snapshot without its erased documents does not verify: {faults or 'its id changed'}")
    for copy in copies:
        copy.relaid(again)
    snapshot.write_manifest(root, again)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
