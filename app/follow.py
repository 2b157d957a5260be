"""Object storage -> this machine's copy, looked at every few seconds in the background; ``live`` takes up what comes of it.

A replica never waits for the storage: what it serves lies on its disk. When a pull fails it goes on serving that, and says so.
"""

import threading
import time
from pathlib import Path

from app.core import telemetry
from app.core.errors import CitewellError, IndexUnusable, StorageUnavailable
from app.core.snapshot.head import Head, key_of, parse
from app.core.snapshot.layout import COLLECTION_NAME, collections, current_id
from app.core.snapshot.pull import pull, undisturbed
from app.core.snapshot.soak import SOAK_S, Soak
from app.core.snapshot.store import Store

POLL_S = 5.0
STORAGE = "object storage"
"""The fault that belongs to no collection: none can have this name."""
SLOW_S = 60.0
"""A look that takes longer is said: libraries wait minutes for a store that keeps silent."""
_TRIES = 3


class Follow:
    """Keeps a folder of indexes up to what lies in a store."""

    def __init__(self, url: str, root: Path, *, poll_s: float = POLL_S, soak_s: float = SOAK_S) -> None:
        self._store, self._root = Store(url), root
        self._poll_s, self._soak_s = poll_s, soak_s
        self._seen: dict[str, tuple[bytes, str]] = {}
        """Each collection's head as it was pulled last, and the snapshot that it names."""
        self._known: dict[str, set[str]] = {}
        self._soaking: dict[str, Soak] = {}
        self._stop = threading.Event()
        self._faults: dict[str, str] = {}
        self._began: float | None = None
        """When the look that goes on began."""
        self.looked = False
        """Whether a first look at the store is over."""

    @property
    def faults(self) -> dict[str, str]:
        """Return the collections that could not be brought up to the store, and why; what was there before still serves."""
        began = self._began
        if began is None or time.monotonic() - began < SLOW_S:
            return self._faults
        since = f"For {time.monotonic() - began:.0f} s a look at {self._store.url} has not ended: it is slow, or much is being fetched."
        return {**self._faults, STORAGE: since}

    def start(self) -> None:
        """Begin; the thread ends with the process, also in the middle of a transfer: a killed pull tears nothing."""
        threading.Thread(target=self._run, name="follow", daemon=True).start()

    def stop(self) -> None:
        """End after what is being fetched now, without waiting for it."""
        self._stop.set()

    def look(self) -> None:
        """Look once at every collection, and fetch what is new."""
        self._began = time.monotonic()
        try:
            self._look()
        finally:
            self._began = None

    def _look(self) -> None:
        faults: dict[str, str] = {}
        try:
            names = [name for name in self._store.folders() if COLLECTION_NAME.fullmatch(name)]
        except StorageUnavailable as error:
            self._note({STORAGE: error.message}, error)
            return
        for name in names:
            try:
                self._follow(name)
            except CitewellError as error:
                faults[name] = error.message
            except OSError as error:
                faults[name] = f"It could not be fetched: {error.strerror or error}."
            except Exception:  # the loop must outlive a bug: the next publish may mend it
                telemetry.log.exception("follow", collection=name)
                faults[name] = "It could not be fetched; the log says why."
        for name in collections(self._root):
            if name not in names:
                faults[name] = f"It lies here, and not at {self._store.url} any more."
        self._note(faults)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self.looked = True
            self._stop.wait(self._poll_s)

    def _note(self, faults: dict[str, str], error: CitewellError | None = None) -> None:
        for name, message in faults.items():
            if self._faults.get(name) != message:
                telemetry.log.error("follow", collection=name, message=message, detail=error.detail if error else None)
        self._faults = faults

    def _follow(self, name: str) -> None:
        data = self._store.get(key_of(name))
        if data is None:
            return  # a folder of something else, or a first push that is not over
        for left in reversed(range(_TRIES)):
            try:
                self._take(name, data)
                return
            except IndexUnusable:
                before, data = data, self._store.get(key_of(name)) or data
                if data == before or not left:  # else it was published anew while we fetched, and the old objects are gone
                    raise

    def _take(self, name: str, data: bytes) -> None:
        soak = self._soaking.setdefault(name, Soak(self._root, name, seconds=self._soak_s))
        current = self._seen.get(name) == (data, current_id(self._root, name))
        if current and not soak.due():
            return
        with undisturbed(self._root, name) as alone:
            if not alone:
                return  # who writes it on this machine is ahead of the store; look again in a moment
            now = self._store.get(key_of(name)) or data  # one who wrote here may have ended just before we held the lock
            if now != data or not current:
                self._pull(name, parse(now, self._store.url, name), now, soak)
            if soak.sweep():
                self._known.pop(name, None)

    def _pull(self, name: str, head: Head, data: bytes, soak: Soak) -> None:
        began = time.perf_counter()
        done = pull(self._store, self._root, name, head, known=self._known.setdefault(name, set()))
        soak.note(head, done.texts)
        self._seen[name] = (data, head.snapshot)
        if done.published:
            seconds = round(time.perf_counter() - began, 3)
            telemetry.log.info("follow", collection=name, snapshot=head.snapshot, bytes=done.bytes, seconds=seconds)
