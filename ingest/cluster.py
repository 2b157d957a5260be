"""The steps of an ingest on a Ray cluster: one Ray Data job after the other, each with a process a core.

A job's rows lie in this machine's object store, and its answers come back here: there is no task that reads or writes, which
would wait for ever for a core when the workers hold all of them. Rows are answered at least once and in any order, so each has
its number (docs/decisions/0016-ray.md).
"""

import logging
import os
import pickle
import queue
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from app.core.config import Settings
from app.core.embed import EmbedderFiles, ensure_onnx
from app.core.errors import Misconfigured
from app.core.types import Vectors
from ingest.index import SEGMENT, Chunked
from ingest.load import Refused
from ingest.prepare import Wanted
from ingest.rules import Rules
from ingest.worker import Embeds, Fault, Prepares, Setup, Worker, made_by

if TYPE_CHECKING:
    from ingest.embed import Elsewhere

_HELD = 64 << 20
"""Bytes of items that are sent together."""
_MOST_HELD = 20_000
"""Items that are sent together: the answers, too, are held until all are there."""
_TOGETHER = 8
"""Items of one row: few, since nothing is heard of a row before the last of them was parsed or timed out."""
_TOGETHER_BYTES = 1 << 20
_REACHED_S = 5.0
"""Until the head of a cluster has taken a connection. Ray itself tries for more than seven minutes and says nothing."""
_CONNECTED_S = 90.0
"""Until Ray has connected: half a second on an idle machine, ten where it is busy."""


class Cluster:
    """A connection to a cluster, as an ``Engine``."""

    first: int = SEGMENT
    block: int = SEGMENT
    """A job takes seconds to start: as many as are held anyway."""

    def __init__(self, settings: Settings, files: EmbedderFiles, rules: Rules, size: int) -> None:
        self._settings, self._files = settings, files
        self._setup = Setup(settings.embedder, files.identity, made_by(), settings.ingest, rules)
        self._model: Any = None
        self.size = size
        self.embedders: Elsewhere | None = self

    def prepare(self, found: Iterable[Wanted | Refused]) -> Iterator[Chunked | Refused]:
        """Prepare items, as many at once as may be held."""
        for part in _parts(found):
            groups = list(_groups(one for one in part if isinstance(one, Wanted)))
            answers: list[list[Chunked | Refused]] = [[] for _ in groups]
            for number, answer in self._job(Prepares, groups):
                answers[number] = answer
            made = (one for answer in answers for one in answer)
            yield from (one if isinstance(one, Refused) else next(made) for one in part)

    def __call__(self, blocks: Sequence[list[str]]) -> Iterator[tuple[list[str], Vectors]]:
        """Embed blocks of texts; yield each as it is done."""
        import ray

        if blocks and self._model is None:
            self._model = ray.put(ensure_onnx(self._files, self._settings.cache_dir).read_bytes())
        for number, vectors in self._job(Embeds, blocks, self._model):
            yield blocks[number], vectors

    def _job(self, kind: type[Worker], rows: Sequence[Any], *more: Any) -> Iterator[tuple[int, Any]]:
        """Have each row answered; yield each number once, with its answer."""
        left = set(range(len(rows)))
        for number, said in self._answers(kind, rows, more) if rows else ():
            answer = pickle.loads(said)  # noqa: S301  as Ray does
            if isinstance(answer, Fault):
                raise Misconfigured(f"{answer.message} Nothing was published.")
            if number in left:
                left.remove(number)
                yield number, answer
        if left:
            raise Misconfigured(f"The Ray cluster lost {len(left)} of {len(rows)} results. Nothing was published; run it again.")

    def _answers(self, kind: type[Worker], rows: Sequence[Any], more: tuple[Any, ...]) -> Iterator[tuple[int, bytes]]:
        """Run a job; yield what comes of each row, at least once and in any order."""
        import ray.data

        items = [{"number": number, "said": pickle.dumps(row)} for number, row in enumerate(rows)]
        # from_arrow would have tasks look at the rows, which need a core.
        job = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            kind,
            fn_constructor_args=(self._setup, *more),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=min(self.size, len(rows))),
        )
        for table in self._watched(job):
            yield from zip(table["number"].to_pylist(), table["said"].to_pylist(), strict=True)

    def _watched(self, job: Any) -> Iterator[Any]:
        """Yield a job's tables; stop waiting when none came for too long: what waits for a core in vain says nothing."""
        import ray

        patience = self._settings.ingest.ray_stall_seconds
        came: queue.Queue[Any] = queue.Queue(maxsize=8)

        def pump() -> None:
            try:
                for table in job.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                    came.put(table)
                came.put(None)
            except BaseException as error:  # whatever it is, it is said to who waits
                came.put(error)

        Thread(target=pump, daemon=True, name="ray-results").start()
        while True:
            try:
                said = came.get(timeout=patience)
            except queue.Empty:
                raise Misconfigured(
                    f"Nothing came from the Ray cluster for {patience:g} s (setting ingest.ray_stall_seconds). Nothing was "
                    f"published; what was embedded is kept. CPUs in it: {_cores()}, workers: {self.size}; `ray status` shows "
                    "whether others hold them, and ray-data.log in its session's logs what waits."
                ) from None
            if said is None:
                return
            if isinstance(said, ray.exceptions.RayError):
                raise Misconfigured(
                    f"The Ray cluster failed ({_lines(said)[-1][:200]}). Nothing was published; what was embedded is "
                    "kept. See `ray status`, and run it again.",
                    detail=str(said)[-4000:],
                ) from said
            if isinstance(said, BaseException):
                raise said
            yield said


@contextmanager
def connected(settings: Settings, files: EmbedderFiles, rules: Rules) -> Iterator[Cluster]:
    """Connect to the cluster that the settings name, or that runs on this machine.

    Raises:
        Misconfigured: Ray is not installed, there is no cluster, or it has no core.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before its import: nothing calls home
    if settings.ingest.ray_address:
        os.environ["RAY_ADDRESS"] = settings.ingest.ray_address  # it would win over what `init` is told
    try:
        import ray
        import ray.data
    except ImportError:
        raise Misconfigured("The engine `ray` needs an extra: `pip install 'citewell[ray]'`.") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # what goes to its file is of use
            handler.setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):  # where Ray says that a node died: standard output is for a command's result
        _connect()
        try:
            if (size := _cores()) < 1:
                raise Misconfigured(
                    "The Ray cluster has no CPU, and a worker takes one: start its nodes with `--num-cpus` of 1 or more."
                )
            yield Cluster(settings, files, rules, size)
        finally:
            with suppress(Exception):
                ray.shutdown()


def _connect() -> None:
    """Join the cluster as a driver; say what to do where there is none."""
    import ray

    named = os.environ.get("RAY_ADDRESS")
    came: queue.Queue[BaseException | None] = queue.Queue()

    def connect() -> None:
        try:
            if named:
                host, _, port = named.rpartition(":")
                socket.create_connection((host.strip("[]"), int(port)), _REACHED_S).close()
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
            came.put(None)
        except BaseException as error:
            came.put(error)

    Thread(target=connect, daemon=True, name="ray-connects").start()
    try:
        error = came.get(timeout=_CONNECTED_S)
    except queue.Empty:
        error = TimeoutError(f"it took more than {_CONNECTED_S:g} s")
    if error is not None:
        raise Misconfigured(
            (f"The Ray cluster at {named} can't be reached" if named else "There is no Ray cluster on this machine")
            + f" ({_lines(error)[0]}). Start one with `ray start --head --disable-usage-stats`, or join one with "
            "`ray start --address=HOST:PORT --disable-usage-stats`, on this machine too; `ingest.ray_address` names it.",
            detail=str(error),
        ) from error


def _lines(error: BaseException) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]


def _cores() -> int:
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def _parts(found: Iterable[Wanted | Refused]) -> Iterator[list[Wanted | Refused]]:
    part: list[Wanted | Refused] = []
    weight = 0
    for one in found:
        part.append(one)
        weight += len(one.item.raw) if isinstance(one, Wanted) else 0
        if weight >= _HELD or len(part) >= _MOST_HELD:
            yield part
            part, weight = [], 0
    if part:
        yield part


def _groups(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    group: list[Wanted] = []
    weight = 0
    for one in wanted:
        group.append(one)
        weight += len(one.item.raw)
        if len(group) >= _TOGETHER or weight >= _TOGETHER_BYTES:
            yield group
            group, weight = [], 0
    if group:
        yield group
