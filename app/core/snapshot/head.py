"""The one object of a collection that ever changes in a store: it names what is complete there.

    <indexes_url>/<collection>/
        CURRENT                          this: the published snapshot, every snapshot with its manifest's hash, when each was published
        snapshots/<id>/<sha256>.json     a manifest, under its hash: a new layout of the same snapshot is another object
        segments/<id>/…, texts/…         as on the disk

So one put of one object moves a reader from one complete state to the next, and whoever reads it can check all the rest.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.core.errors import IndexUnusable
from app.core.snapshot.layout import SNAPSHOT_ID
from app.core.snapshot.store import Store

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in it."""

    snapshot: str
    """The published one."""
    manifests: dict[str, str]
    """Each complete snapshot, with the SHA-256 of its manifest."""
    published: tuple[tuple[str, str], ...]
    """Which of them were published and when (ISO 8601), oldest first."""

    def naming(self, manifests: dict[str, str], current: str) -> "Head":
        """Return the head over these manifests; another current snapshot than before is published now."""
        history = self.published
        if not history or history[-1][0] != current:
            history = (*history, (current, datetime.now(UTC).isoformat(timespec="seconds")))
        return replace(self, snapshot=current, manifests=manifests, published=tuple(p for p in history if p[0] in manifests))

    def as_bytes(self) -> bytes:
        """Return the object."""
        row = {"format": FORMAT, "snapshot": self.snapshot, "manifests": self.manifests, "published": self.published}
        return json.dumps(row, indent=1, sort_keys=True).encode()


def key_of(collection: str) -> str:
    """Return the head's key."""
    return f"{collection}/CURRENT"


def manifest_key(collection: str, identity: str, sha256: str) -> str:
    """Return a manifest's key."""
    return f"{collection}/snapshots/{identity}/{sha256}.json"


def sha256_of(data: bytes) -> str:
    """Return the hash that names an object."""
    return hashlib.sha256(data).hexdigest()


def read_head(store: Store, collection: str) -> Head | None:
    """Return what is complete in a store; None when nothing was ever pushed there.

    Raises:
        StorageUnavailable: It can't be read.
        IndexUnusable: It is no head, or one of a later format.
    """
    data = store.get(key_of(collection))
    return None if data is None else parse(data, store.url, collection)


def parse(data: bytes, url: str, collection: str) -> Head:
    """Return the head that an object is.

    Raises:
        IndexUnusable: It is none.
    """
    try:
        row = json.loads(data)
        if row["format"] != FORMAT:
            raise ValueError(f"format {row['format']}, this version reads {FORMAT}")
        manifests = {str(identity): str(sha256) for identity, sha256 in row["manifests"].items()}
        head = Head(row["snapshot"], manifests, tuple((str(one), str(at)) for one, at in row["published"]))
        _check(head.manifests, head.snapshot)
        for _, at in head.published:
            datetime.fromisoformat(at)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexUnusable(
            f"{url}/{key_of(collection)} is damaged: {error}. On the machine that ingests, `citewell index push --again` puts "
            "the collection there anew.",
            detail=str(error),
        ) from None
    return head


def _check(manifests: Iterable[str], current: str) -> None:
    if current not in manifests or not all(SNAPSHOT_ID.fullmatch(identity) for identity in manifests):
        raise ValueError("it names no snapshot that it holds")
