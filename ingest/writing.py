"""Who may write a collection: one process of this machine and, where machines share it, one machine."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from app.core.config import Settings
from app.core.db.engine import open_engine
from app.core.db.lock import held
from app.core.errors import Misconfigured
from ingest.publish import exclusive

_WAIT_S = 30.0
"""A server on this machine that takes up what another wrote holds the lock for a moment."""

if TYPE_CHECKING:
    from ingest.push import Remote


@contextmanager
def writing(settings: Settings, collection: str, *, mend: bool = False) -> Iterator["Remote | None"]:
    """Hold a collection for writing; yields its place in object storage, where there is one, with the folder here brought up to it.

    Args:
        settings: Where the folder, the database and the storage are.
        collection: Its name.
        mend: Go on where what is published in the storage can't be read.

    Raises:
        Misconfigured: Another process, or another machine, is writing it; or its storage can't be used.
        LedgerUnavailable: The database can't be reached.
        StorageUnavailable, IndexUnusable: What lies in object storage can't be read.
    """
    with ExitStack() as stack:
        _enter(stack, settings, collection)
        engine = open_engine(settings.database_url)  # for a lock alone: whatever its schema is
        stack.callback(engine.dispose)
        if not stack.enter_context(held(engine, f"write {collection}")):
            raise Misconfigured(f"Another machine is writing `{collection}`. Wait for it, then try again.")
        if settings.indexes_url is None:
            yield None
            return
        from app.core.snapshot.store import Store
        from ingest.push import Remote

        remote = Remote(Store(settings.indexes_url), settings.indexes_dir, collection)
        remote.catch_up(mend=mend)
        yield remote


def _enter(stack: ExitStack, settings: Settings, collection: str) -> None:
    deadline = time.monotonic() + (_WAIT_S if settings.indexes_url else 0)
    while True:
        try:
            stack.enter_context(exclusive(settings.indexes_dir, collection))
        except Misconfigured:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)
        else:
            return
