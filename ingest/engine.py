"""Who does the work of an ingest that can be shared out: this process, or those of a Ray cluster.

Both run the same steps (``prepare``, ``embed``), and their results come back in the source's order: nothing else of an ingest
knows which one it was.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from app.core.config import Settings
from app.core.embed import EmbedderFiles
from ingest.embed import Elsewhere
from ingest.index import Chunked
from ingest.load import Refused
from ingest.prepare import Preparing, Wanted
from ingest.rules import Rules

Name = Literal["local", "ray"]


class Engine(Protocol):
    """Prepares items and embeds texts."""

    first: int
    """Chunks from which embedding begins."""
    block: int
    """Chunks that are embedded together, at most."""
    embedders: Elsewhere | None
    """What embeds in other processes; None where this one does."""

    def prepare(self, found: Iterable[Wanted | Refused]) -> Iterator[Chunked | Refused]:
        """Yield what came of each item, in the same order; what was refused before is passed on."""


class Local:
    """All in this process, one item at a time."""

    first: int = 128
    """Soon: cores wait for it."""
    block: int = 2_048
    """Enough to sort them by length, few enough to hold."""
    embedders: Elsewhere | None = None

    def __init__(self, preparing: Preparing) -> None:
        self._preparing = preparing

    def prepare(self, found: Iterable[Wanted | Refused]) -> Iterator[Chunked | Refused]:
        """Prepare each item when the one before was taken."""
        for one in found:
            yield one if isinstance(one, Refused) else self._preparing(one)


@contextmanager
def engine(name: Name, preparing: Preparing, settings: Settings, files: EmbedderFiles, rules: Rules) -> Iterator[Engine]:
    """Set up what does the work.

    Raises:
        Misconfigured: The cluster can't be used; says what to do.
    """
    if name == "local":
        yield Local(preparing)
        return
    from ingest.cluster import connected  # nobody else imports Ray

    with connected(settings, files, rules) as cluster:
        yield cluster
