"""What runs in the processes of a cluster: the same steps as here, over rows that are answered one for one.

A process has this package, its embedder's files and what the driver tells it: no index, no database, no setting of its own.
"""

import pickle
import platform
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from app.core.config import IngestSettings
from app.core.embed import Embedder, EmbedderFiles, EmbedderIdentity, find_embedder
from app.core.errors import Misconfigured
from app.core.text import NORMALISER
from app.core.types import Vectors
from ingest.chunk import CHUNKER
from ingest.index import Chunked
from ingest.load import Refused
from ingest.parse import IDENTITY
from ingest.prepare import Preparing, Wanted
from ingest.rules import Rules


def made_by() -> tuple[str, ...]:
    """Return what decides the texts and ranges that this installation makes."""
    return (f"citewell {version('citewell')}", IDENTITY, NORMALISER, CHUNKER)


@dataclass(frozen=True)
class Fault:
    """What stops the whole ingest, said by a process of the cluster."""

    message: str


@dataclass(frozen=True)
class Setup:
    """What the driver tells its workers."""

    embedder: str
    """The setting."""
    identity: EmbedderIdentity
    made_by: tuple[str, ...]
    ingest: IngestSettings
    rules: Rules

    @cached_property
    def files(self) -> EmbedderFiles:
        """The embedder's files on this machine.

        Raises:
            Misconfigured: This installation would make other texts or other vectors than the driver's.
        """
        if (here := made_by()) != self.made_by:
            theirs, ours = next((a, b) for a, b in zip(self.made_by, here, strict=True) if a != b)
            raise Misconfigured(f"It would read documents otherwise: it has `{ours}`, and this machine has `{theirs}`.")
        files = find_embedder(self.embedder)
        if files.identity != self.identity:
            raise Misconfigured(f"Its embedder `{self.embedder}` is another one: {files.identity} instead of {self.identity}.")
        return files


class Worker(ABC):
    """Answers each row of a batch. What it can't work with becomes an answer too: an exception would be retried for ever."""

    def __init__(self, setup: Setup, *more: Any) -> None:
        self._fault: Fault | None = None
        try:
            self._begin(setup, *more)
        except Misconfigured as error:
            self._fault = _fault(error)

    def __call__(self, rows: Any) -> Any:
        """Answer the rows of an Arrow table: their numbers, and what is to be done."""
        import pyarrow as pa

        answers = [pickle.dumps(self._answer(pickle.loads(said))) for said in rows["said"].to_pylist()]  # noqa: S301  as Ray does
        return pa.table({"number": rows["number"], "said": pa.array(answers, pa.large_binary())})

    def _answer(self, said: Any) -> Any:
        try:
            return self._fault or self._work(said)
        except Misconfigured as error:
            return _fault(error)

    @abstractmethod
    def _begin(self, setup: Setup, *more: Any) -> None: ...

    @abstractmethod
    def _work(self, said: Any) -> Any: ...


class Prepares(Worker):
    """Items -> documents in chunks. Each process has a child for its parsers, which ends with it."""

    def _begin(self, setup: Setup) -> None:
        self._preparing = Preparing(setup.ingest, setup.files, setup.rules)

    def _work(self, said: Sequence[Wanted]) -> list[Chunked | Refused]:
        return [self._preparing(wanted) for wanted in said]


class Embeds(Worker):
    """Texts -> unit rows, on one core. The model comes from the driver, so that no machine needs torch to export it."""

    def _begin(self, setup: Setup, model: Any) -> None:
        import ray

        self._embedder = Embedder(setup.files, model=ray.get(model))
        self._most = setup.ingest.batch

    def _work(self, said: Sequence[str]) -> Vectors:
        return self._embedder(said, most=self._most)


def _fault(error: Misconfigured) -> Fault:
    return Fault(f"On the cluster's machine {platform.node()}: {error.message}")
