"""What an ingest did, in the contract's words."""

from dataclasses import dataclass, field
from typing import Any

from ingest.load import Refused, Skipped


@dataclass
class Report:
    """What a run did, in the contract's words."""

    collection: str
    snapshot: str | None = None
    published: bool = False
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0
    read: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    sync_held: bool = False
    """``sync`` was asked for and dropped nothing, because something unnamed could not be read."""
    dry_run: bool = False
    """Nothing was written: the counts are what would change, ``embedded`` what would be embedded."""
    estimate_s: float | None = None
    """How long embedding would take, in a dry run."""

    def as_json(self) -> dict[str, Any]:
        """Return it as ``citewell ingest --json`` prints it."""
        return {
            "collection": self.collection,
            "snapshot": self.snapshot,
            "documents": {
                "added": self.added,
                "changed": self.changed,
                "unchanged": self.unchanged,
                "deleted": self.deleted,
                "refused": len(self.refused),
            },
            "chunks": self.chunks,
            "seconds": round(self.seconds, 3),
            "sources": {"read": self.read, "skipped": len(self.skipped)},
            **(
                {"dry_run": {"embed": self.embedded, "seconds": round(self.estimate_s or 0, 1), "cost_usd": 0}}
                if self.dry_run
                else {}
            ),
            "refused": [{"source": r.source, "code": r.code, "message": r.message} for r in self.refused],
        }
