"""What serves now: a collection's newest snapshot and stable prompt, taken up without a restart.

Each request reads one small row of its collection, so a change of who may see it holds at once, in every worker. Snapshots,
labels and prompts are looked at every second, loaded and checked in the background, and swapped whole.
"""

import asyncio
from asyncio import to_thread
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from app import release
from app.answer import Serving
from app.core import snapshot, telemetry
from app.core.config import Settings
from app.core.db import collections
from app.core.db.collections import Owner
from app.core.db.engine import transaction
from app.core.db.tables import ReleaseRow
from app.core.errors import CitewellError, CollectionUnknown, IndexMissing, IndexUnusable
from app.core.types import Caller
from app.model.gateway import Parameters, Route
from app.prompt import load_prompt
from app.retrieve import Questions, Retriever

DEFAULT_COLLECTION = "docs"
PROMPT = "answer"
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a serving was made from; another value means there is something new to load."""

    snapshot: str | None
    prompts: tuple[object, ...]


class Live:
    """The collections that are loaded, and the loop that keeps them fresh."""

    def __init__(self, settings: Settings, engine: Engine, questions: Questions, route: Route, wanted: Parameters) -> None:
        self._settings = settings
        self._engine = engine
        self._questions = questions
        self._route = route
        self._wanted = wanted
        self._serving: dict[str, Serving] = {}
        self._seen: dict[str, _Seen] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self.faults: dict[str, str] = {}
        """Collections whose newest snapshot or prompt could not be taken up, and why; the one before still serves."""

    async def serving(self, collection: str, caller: Caller) -> Serving:
        """Return what answers a collection's questions now.

        Raises:
            CollectionUnknown: It does not exist, or is another tenant's.
            IndexMissing: Nothing was published yet.
            IndexUnusable: The published snapshot can't be used, and none was loaded before it.
            LedgerUnavailable: The database can't be reached.
        """
        await to_thread(self._admit, collection, caller)
        if collection not in self._serving:
            await self.refresh(collection)
        return self._serving[collection]

    def visible(self, caller: Caller) -> list[str]:
        """Return the collections that a caller may use."""
        names = snapshot.collections(self._settings.indexes_dir)
        with transaction(self._engine) as session:
            for name in names:
                collections.add(session, name, tenant="default")
            return [row.name for row in collections.visible(session, caller.tenant) if row.name in names]

    def loaded(self) -> dict[str, Serving]:
        """Return what is loaded, by collection."""
        return dict(self._serving)

    async def keep_fresh(self) -> None:
        """Look for something new every second, until cancelled."""
        while True:
            for name in await to_thread(snapshot.collections, self._settings.indexes_dir):
                try:
                    await self.refresh(name)
                    self.faults.pop(name, None)
                except CitewellError as error:
                    if self.faults.get(name) != error.message:
                        telemetry.log.error("live", collection=name, code=error.code, detail=error.detail or error.message)
                    self.faults[name] = error.message
                except Exception:  # the loop must outlive a bug: the next publish may mend it
                    telemetry.log.exception("live", collection=name)
                    self.faults[name] = "The newest snapshot could not be loaded; the log says why."
            await asyncio.sleep(POLL_S)

    async def refresh(self, collection: str) -> None:
        """Take up a collection's newest snapshot and prompt if they differ from what serves.

        Raises:
            CitewellError: They can't be used; what served before still does.
        """
        async with self._loading.setdefault(collection, asyncio.Lock()):
            seen = await to_thread(self._look, collection)
            if self._seen.get(collection) == seen and collection in self._serving:
                return
            serving = await to_thread(self._load, collection)
            self._serving[collection] = serving
            self._seen[collection] = seen
            telemetry.log.info("live", collection=collection, release=serving.release.id, snapshot=serving.release.snapshot)

    def _admit(self, collection: str, caller: Caller) -> None:
        with transaction(self._engine, reads=True) as session:
            owner = collections.owner(session, collection)
        if owner is None:
            if snapshot.current_id(self._settings.indexes_dir, collection) is None:
                if collection == DEFAULT_COLLECTION:
                    raise IndexMissing("There is no index yet. Build one with `citewell ingest PATH`.")
                raise CollectionUnknown(f"There is no collection `{collection}`. `citewell ingest PATH --collection` makes one.")
            with transaction(self._engine) as session:
                row = collections.add(session, collection, tenant="default")
                owner = Owner(row.tenant, row.visible_to_all)
        if not owner.visible_to_all and owner.tenant != caller.tenant:
            raise CollectionUnknown(f"There is no collection `{collection}`. `citewell ingest PATH --collection` makes one.")

    def _look(self, collection: str) -> _Seen:
        folder = self._settings.prompts_dir
        stamps = tuple(_stamp(folder / name) for name in ("labels.yaml", "prompts.lock"))
        return _Seen(snapshot.current_id(self._settings.indexes_dir, collection), stamps)

    def _load(self, collection: str) -> Serving:
        opened = snapshot.open_current(self._settings.indexes_dir, collection)
        retriever = Retriever(opened, self._questions, self._questions.identity.as_json())
        template = load_prompt(self._settings.prompts_dir, PROMPT)
        set_by_prompt = template.front.model.model_dump(exclude_none=True)
        parameters = Parameters(
            temperature=set_by_prompt.get("temperature", self._wanted.temperature),
            max_tokens=set_by_prompt.get("max_tokens", self._wanted.max_tokens),
            seed=self._wanted.seed,
        )
        made = release.compute(self._settings, opened, template, self._route, parameters)
        with transaction(self._engine) as session:
            tenant = collections.add(session, collection, tenant="default").tenant
            collections.enter_release(session, ReleaseRow(id=made.id, tenant=tenant, collection=collection, body=made.body))
        if not opened.documents:
            raise IndexUnusable(f"The index of `{collection}` holds no documents.")
        telemetry.INDEX_DOCUMENTS.labels(collection).set(len(opened.documents))
        telemetry.INDEX_PUBLISHED.labels(collection).set(datetime.fromisoformat(opened.manifest["created"]).timestamp())
        return Serving(made, retriever, template, self._route, parameters)


def _stamp(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
