"""Transactions that wait together -> one commit, in one thread.

SQLite lets one writer in; several threads that asked for its lock slept in turns, up to 100 ms each. Here they queue, and those
that wait share a commit, which is a flush to the disk. Each caller is told only when its own rows are there.
"""

from collections.abc import Callable
from concurrent.futures import Future

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from app.core.batch import Batcher, Job
from app.core.db.engine import transaction
from app.core.errors import LedgerUnavailable

Write = Callable[[Session], None]
"""Executes statements and never commits. It may run twice, so it changes nothing but the session."""


class Writer:
    """A thread that writes. Close it, or the process ends with what waited unwritten."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batcher: Batcher[Write, None] = Batcher(self._commit, name="ledger")

    def submit(self, write: Write) -> Future[None]:
        """Have something written; the future is done when it is committed, or says why it is not.

        Raises:
            LedgerUnavailable: It was closed.
        """
        try:
            return self._batcher.submit(write)
        except RuntimeError:
            raise LedgerUnavailable("The server is stopping, and its ledger is closed.", retry_after_s=2) from None

    def close(self) -> None:
        """Write what waits, then end the thread."""
        self._batcher.close()

    def _commit(self, jobs: list[Job[Write, None]]) -> None:
        try:
            with transaction(self._engine) as session:
                for job in jobs:
                    job.item(session)
        except LedgerUnavailable as error:
            if not isinstance(error.__cause__, OperationalError):
                raise  # a row that the database refuses is one job's fault: each is tried alone
            for job in jobs:  # locked, full, gone: the same for all, and trying again would only wait as long again
                job.done.set_exception(error)
        else:
            for job in jobs:
                job.done.set_result(None)
