"""Segments -> a snapshot, verified -> CURRENT. Nothing is visible before the last step, and all of it after."""

import fcntl
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.core import snapshot
from app.core.embed import BUNDLED
from app.core.errors import IndexMissing, IndexUnusable, Misconfigured
from app.core.sentences import spans
from app.core.snapshot import Asked, Flags, Segment, Snapshot, Texts
from app.core.types import Vectors

Part = tuple[Segment, Flags]
"""A segment, and which of its documents count."""


class Copies(Protocol):
    """Copies of a collection that readers use elsewhere. The collection's lock must be held."""

    def bring(self, made: Snapshot) -> None:
        """Have there what a snapshot needs that is about to be published here; what this raises keeps it from that."""

    def relaid(self, made: Snapshot) -> None:
        """Have there what a kept snapshot needs whose segments were written again, before its manifest is."""

    def settle(self, erased: Set[str]) -> None:
        """Have there what is kept here and nothing else, and nothing at all of the erased documents."""


MOST = 163_840
"""Chunks past which segments are merged no further: merging copies them, and holds them meanwhile."""
_TIER = 4
"""Segments of like size that are merged into one: each chunk is copied once for each power of four that the corpus grows by."""
_SMALLEST = 1_024
_QUESTIONS = 200
_LONG = 200
"""Characters from which a sentence counts as no longer than any other."""
_PAIRS = 1_000
_WASTE = 0.25
"""Share of a segment's chunks that no snapshot needs, above which it is written again."""


@contextmanager
def exclusive(root: Path, collection: str) -> Iterator[None]:
    """Hold the collection's lock: two writers at once would each drop what the other added.

    Raises:
        Misconfigured: Another process is writing it.
    """
    folder = snapshot.folder_of(root, collection)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "LOCK").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when we die
        except BlockingIOError:
            raise Misconfigured(f"Another ingest into `{collection}` is running. Wait for it, then try again.") from None
        try:
            yield
        finally:
            if [entry.name for entry in folder.iterdir()] == ["LOCK"]:
                (folder / "LOCK").unlink()  # nothing came of it: leave no empty collection behind
                folder.rmdir()


def previous(root: Path, collection: str) -> Snapshot | None:
    """Open what is published; a damaged index is no reason to stop: ingesting is what mends it."""
    try:
        return snapshot.open_current(root, collection)
    except (IndexMissing, IndexUnusable):
        return None


def without(held: Snapshot | None, gone: Set[str]) -> list[Part]:
    """Return a snapshot's segments, with what they hold of it but for some documents; empty ones are left out."""
    parts = []
    for segment, kept in zip(held.segments, held.kept, strict=True) if held else ():
        names = np.array(sorted(gone), dtype="S24")
        left = kept & ~np.isin(segment.documents["id"], names)
        if left.any():
            parts.append((segment, left))
    return parts


def publish(
    root: Path,
    collection: str,
    parts: Sequence[Part],
    *,
    built_with: Mapping[str, Any],
    notes: Mapping[str, Any],
    known: Sequence[Segment] = (),
    embed: Callable[[Sequence[str]], Vectors] | None = None,
    copies: Sequence[Copies] = (),
) -> tuple[Snapshot, bool]:
    """Merge small segments, verify the whole as a reader would see it, write its manifest, and point CURRENT at it.

    Args:
        root: The folder of all collections.
        collection: Its name.
        parts: The segments of the snapshot.
        built_with: What they were built with.
        notes: What the manifest says beside it.
        known: Segments that were verified before.
        embed: Embeds the questions that approximate search over a large segment is tuned by; without it, search is exact.
        copies: Where readers need something of it too: there first, then here.

    Returns:
        The snapshot, and whether it is another one than before.

    Raises:
        IndexUnusable: What was written does not verify; CURRENT is as it was.
    """

    def ask() -> Asked:
        names, sentences = questions(root, collection, parts)
        return Asked(names, embed(sentences)) if embed else Asked(names[:0], np.zeros((0, 1), np.float32))

    parts = _tidied(root, collection, list(parts), int(built_with["embedder"]["dim"]), ask if embed else None)
    if built_with["embedder"]["name"] not in BUNDLED:
        notes = {**notes, "spread": _spread(parts)}
    made = snapshot.compose(root, collection, parts, built_with=built_with, notes=notes)
    faults = list(snapshot.verify(made, known=known))
    if faults:
        raise IndexUnusable(f"The new snapshot does not verify and was not published: {faults[0]}", detail="; ".join(faults))
    before = snapshot.current_id(root, collection)
    stands = _stands(root, made)
    if stands:
        made = replace(made, manifest=snapshot.read_manifest(root, collection, made.snapshot_id))
    for copy in copies:
        copy.bring(made)
    if not stands:
        snapshot.write_manifest(root, made)
    if before != made.snapshot_id:
        snapshot.publish(root, collection, made.snapshot_id)
    return made, before != made.snapshot_id


def _stands(root: Path, made: Snapshot) -> bool:
    """Whether the manifest that is there says the same, but for its notes."""
    try:
        found = snapshot.read_manifest(root, made.collection, made.snapshot_id)
    except IndexUnusable:
        return False
    return all(found.get(name) == made.manifest.get(name) for name in ("segments", "erased", "sources", "spread"))


def _tidied(root: Path, collection: str, parts: list[Part], dim: int, ask: Callable[[], Asked] | None) -> list[Part]:
    """Merge segments of like size, and write those again that hold too much that no snapshot needs."""
    base = snapshot.folder_of(root, collection)

    def merged(some: Sequence[Part]) -> Part:
        segment = snapshot.open_segment(base, snapshot.merge(base, dim, some, ask))
        return segment, np.ones(len(segment.documents), dtype=bool)

    parts = [merged([part]) if _waste(part) > _WASTE else part for part in parts]
    while group := _alike(parts):
        parts = [*(part for part in parts if not any(part is one for one in group)), merged(group)]
    return parts


def _alike(parts: Sequence[Part]) -> list[Part]:
    tiers: dict[int, list[Part]] = {}
    for part in parts:
        size = len(part[0].chunks)
        if size * _TIER <= MOST:
            tiers.setdefault(int(math.log(max(size, _SMALLEST), _TIER)), []).append(part)
    return next((group[:_TIER] for group in tiers.values() if len(group) >= _TIER), [])


def _waste(part: Part) -> float:
    segment, kept = part
    return float(1 - kept[segment.chunks["document"]].mean()) if len(segment.chunks) else 1.0


def questions(root: Path, collection: str, parts: Sequence[Part]) -> tuple[npt.NDArray[np.bytes_], list[str]]:
    """Return sentences of the collection, with their documents: as near to what people ask as a corpus comes by itself.

    Drawn by chance among what the snapshot holds, the same each time.
    """
    texts = Texts(snapshot.folder_of(root, collection) / "texts")
    chance = np.random.default_rng(0)
    held = [(segment, np.flatnonzero(kept[segment.chunks["document"]])) for segment, kept in parts]
    sizes = np.array([len(rows) for _, rows in held])
    names: list[bytes] = []
    drawn: list[str] = []
    for number in chance.choice(len(held), _QUESTIONS, p=sizes / sizes.sum()):
        segment, rows = held[number]
        line, start, end = segment.chunks[chance.choice(rows)].tolist()
        text = texts.read(segment.document(line).revision)[start:end]
        sentences = [text[a:b] for a, b in spans(text)] or [text]
        names.append(segment.documents["id"][line])
        drawn.append(max(sentences, key=lambda sentence: min(len(sentence), _LONG) + chance.random()))
    return np.array(names, dtype="S24"), drawn


def _spread(parts: Sequence[Part]) -> float:
    """Return the standard deviation of cosines between chunks drawn by chance: a cosine of .8 says much with one embedder, nothing with another."""
    chance = np.random.default_rng(0)
    drawn = [s.index.reconstruct_batch(chance.integers(len(s.chunks), size=_PAIRS)) for s, _ in parts if len(s.chunks)]
    if not drawn:
        return 1.0
    rows = np.concatenate(drawn)
    cosines = (rows[chance.permutation(len(rows))] * rows).sum(axis=1)
    different = cosines[cosines < 0.9999]
    return max(round(float(np.std(different)), 4), 0.005) if len(different) > 1 else 1.0
