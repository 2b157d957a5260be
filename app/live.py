"""What serves now: a collection's newest snapshot and stable prompt, taken up without a restart.

Each request reads one small row of its collection, so a change of who may see it holds at once, in every worker. Snapshots,
labels and prompts are looked at every second, loaded and checked in the background, and swapped whole.
"""

import asyncio
from asyncio import to_thread
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session

from app import release
from app.answer import Loaded, Serving
from app.core import snapshot, telemetry
from app.core.config import Settings
from app.core.db import access, collections
from app.core.db.access import Standing
from app.core.db.engine import transaction
from app.core.db.tables import ReleaseRow
from app.core.errors import CitewellError, CollectionUnknown, IndexMissing, IndexUnusable
from app.core.types import Ask, Caller
from app.model.gateway import Parameters, Route
from app.prompt import load_prompt
from app.record import Run
from app.retrieve import FILES, Access, Dense, Questions, Reranker, Retriever

DEFAULT_COLLECTION = "docs"
PROMPT = "answer"
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a serving was made from; another value means there is something new to load."""

    snapshot: tuple[str, int, int] | None
    prompts: tuple[object, ...]


class Live:
    """The collections that are loaded, and the loop that keeps them fresh."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        questions: Questions,
        route: Route,
        wanted: Parameters,
        rerank: Reranker | None = None,
        dense: Dense = FILES,
    ) -> None:
        self._settings = settings
        self._dense = dense
        self._rerank = rerank
        self._engine = engine
        self._questions = questions
        self._route = route
        self._wanted = wanted
        self._loaded: dict[str, Loaded] = {}
        self._access: dict[str, Access] = {}
        self._seen: dict[str, _Seen] = {}
        self._looked: dict[str, int] = {}
        """The erasure epoch under which each collection's files were looked at last."""
        self._loading: dict[str, asyncio.Lock] = {}
        self.faults: dict[str, str] = {}
        """Collections whose newest snapshot or prompt could not be taken up, and why; the one before still serves."""

    async def serving(self, ask: Ask, caller: Caller) -> Serving:
        """Return what answers a question now, and what of it the caller may be shown.

        Raises:
            CollectionUnknown: The collection does not exist, or is another tenant's.
            FilterUnknown, InvalidRequest: A filter names no field that it may read, or a value of another type.
            IndexMissing: Nothing was published yet.
            IndexUnusable: The published snapshot can't be used, and none was loaded before it.
            LedgerUnavailable: The database can't be reached.
        """
        # The row first: a change that it shows holds, whatever was loaded before.
        access = await to_thread(self._admit, ask.collection, caller)
        if ask.collection not in self._loaded:
            await self.refresh(ask.collection)
        elif self._looked.get(ask.collection) != access.erasure_epoch:
            # What was deleted may have left the files since, and is restored only where they still hold it.
            with suppress(IndexMissing, IndexUnusable):
                await self.refresh(ask.collection)
        self._looked[ask.collection] = access.erasure_epoch
        loaded = self._loaded[ask.collection]
        readable = loaded.retriever.remembered(access, caller) if not ask.filters else None
        if readable is None:
            readable = await to_thread(loaded.retriever.readable, access, caller, ask.filters)
        return Serving(
            loaded.release,
            loaded.retriever,
            loaded.prompt,
            loaded.route,
            loaded.parameters,
            loaded.arm,
            readable,
            access.erasure_epoch,
        )

    async def erased(self, run: Run) -> bool:
        """Whether a document that a run was shown was deleted since it began."""
        used = [passage.chunk.document.document_id for passage in run.passages]
        return await to_thread(self._hit, run.ask.collection, run.erasure_epoch, used)

    def visible(self, caller: Caller) -> list[str]:
        """Return the collections that a caller may use."""
        names = snapshot.collections(self._settings.indexes_dir)
        with transaction(self._engine) as session:
            for name in names:
                collections.add(session, name, tenant="default")
            return [row.name for row in collections.visible(session, caller.tenant) if row.name in names]

    def loaded(self) -> dict[str, Loaded]:
        """Return what is loaded, by collection."""
        return dict(self._loaded)

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
            if self._seen.get(collection) == seen and collection in self._loaded:
                return
            loaded = await to_thread(self._load, collection)
            self._loaded[collection] = loaded
            self._seen[collection] = seen
            telemetry.log.info("live", collection=collection, release=loaded.release.id, snapshot=loaded.release.snapshot)

    def _admit(self, collection: str, caller: Caller) -> Access:
        with transaction(self._engine, reads=True) as session:
            found = access.standing(session, collection)
            if found is not None and (found.visible_to_all or found.tenant == caller.tenant):
                made = access_of(session, collection, found, self._access.get(collection))
                self._access[collection] = made
                return made
        if found is None and snapshot.current_id(self._settings.indexes_dir, collection) is not None:
            with transaction(self._engine) as session:
                collections.add(session, collection, tenant="default")
            return self._admit(collection, caller)
        if found is None and collection == DEFAULT_COLLECTION:
            raise IndexMissing("There is no index yet. Build one with `citewell ingest PATH`.")
        raise CollectionUnknown(f"There is no collection `{collection}`. `citewell ingest PATH --collection` makes one.")

    def _hit(self, collection: str, since: int, used: Sequence[str]) -> bool:
        with transaction(self._engine, reads=True) as session:
            found = access.standing(session, collection)
            if found is None or found.erasure_epoch == since:
                return False
            return not access.erased(session, collection).isdisjoint(used)

    def _look(self, collection: str) -> _Seen:
        folder = self._settings.prompts_dir
        stamps = tuple(_stamp(folder / name) for name in ("labels.yaml", "prompts.lock"))
        return _Seen(snapshot.stamp(self._settings.indexes_dir, collection), stamps)

    def _load(self, collection: str) -> Loaded:
        before = self._loaded.get(collection)
        reuse = before.retriever.snapshot.segments if before else ()
        opened = snapshot.open_current(self._settings.indexes_dir, collection, reuse=reuse)
        retriever = Retriever(opened, self._questions, self._questions.identity.as_json(), self._rerank, self._dense)
        template = load_prompt(self._settings.prompts_dir, PROMPT)
        set_by_prompt = template.front.model.model_dump(exclude_none=True)
        parameters = Parameters(
            temperature=set_by_prompt.get("temperature", self._wanted.temperature),
            max_tokens=set_by_prompt.get("max_tokens", self._wanted.max_tokens),
            seed=self._wanted.seed,
        )
        made = release.compute(
            self._settings,
            opened,
            template,
            self._route,
            parameters,
            self._rerank.identity if self._rerank else None,
            self._dense.identity,
        )
        with transaction(self._engine) as session:
            tenant = collections.add(session, collection, tenant="default").tenant
            collections.enter_release(session, ReleaseRow(id=made.id, tenant=tenant, collection=collection, body=made.body))
        telemetry.INDEX_DOCUMENTS.labels(collection).set(opened.size)
        telemetry.INDEX_PUBLISHED.labels(collection).set(datetime.fromisoformat(opened.manifest["created"]).timestamp())
        return Loaded(made, retriever, template, self._route, parameters, "stable")


def access_of(session: Session, collection: str, standing: Standing, known: Access | None = None) -> Access:
    """Return what the database says of a collection's documents, read anew only where an epoch rose since ``known``."""
    if known and (known.erasure_epoch, known.acl_epoch) == (standing.erasure_epoch, standing.acl_epoch):
        return known
    if known and known.acl_epoch > standing.acl_epoch:
        known = None  # the database was put back: what it knows now is all there is
    erased = known.erased if known and known.erasure_epoch == standing.erasure_epoch else access.erased(session, collection)
    readers: Mapping[str, frozenset[str]] | None = None
    if standing.acl_required:
        before = known.readers if known else None
        newer = access.readers(session, collection, after=known.acl_epoch if known and before is not None else -1)
        readers = {**(before or {}), **{document: who or frozenset() for document, who in newer.items()}}
    return Access(standing.erasure_epoch, standing.acl_epoch, erased, readers)


def _stamp(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
