"""Settings -> live objects. The only module that chooses an implementation; it closes and pings everything too."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from app.answer import Answering
from app.core import snapshot, telemetry, tokens
from app.core.config import Settings
from app.core.db import access
from app.core.db.engine import open_ledger, revision, transaction
from app.core.db.writer import Writer
from app.core.embed import Embedder, find_embedder
from app.core.errors import CitewellError, Misconfigured
from app.core.types import Ask, Caller, Hit
from app.live import Live, access_of
from app.model import gateway, local
from app.model.gateway import PROVIDER, Parameters, Route
from app.model.local import LocalServer
from app.model.prices import open_book
from app.retrieve import FILES, Access, CrossEncoder, Dense, Questions, Reranker, Retriever

if TYPE_CHECKING:
    from litellm.llms.custom_llm import CustomLLM

    from app.follow import Follow

LOCAL_SERVER = "_CITEWELL_LOCAL_MODEL"
"""Set by the ``serve`` parent for its workers: base URL, alias and weights of the llama.cpp it started."""


@dataclass(frozen=True)
class Service:
    """Everything that is alive."""

    settings: Settings
    engine: Engine
    live: Live
    answering: Answering
    route: Route
    follow: "Follow | None" = None
    """What keeps the indexes up to object storage, where that is configured."""

    def faults(self) -> dict[str, str]:
        """Return the collections whose newest state could not be taken up, and why; the one before still serves."""
        return {**self.live.faults, **(self.follow.faults if self.follow else {})}

    def ping_database(self) -> str:
        """Return ``ok``, or what is wrong with the database, in words."""
        try:
            revision(self.engine)
        except CitewellError as error:
            return error.message
        return "ok"


def needs_local_server(settings: Settings) -> bool:
    """Whether the model is one that this machine must serve to itself."""
    return settings.model == "smollm2" or settings.model.startswith("gguf:")


def start_local_server(settings: Settings) -> LocalServer:
    """Start llama.cpp for the model that the settings name; it lives in this process, for all of its workers."""
    if settings.model == "smollm2":
        return local.start(local.smollm2_file(), alias="smollm2")
    return local.start(Path(settings.model.removeprefix("gguf:")).expanduser(), alias="gguf")


def hand_to_workers(server: LocalServer) -> None:
    """Tell the worker processes where the model is."""
    os.environ[LOCAL_SERVER] = " ".join((server.base_url, server.alias, server.weights))


def route_of(settings: Settings, server: LocalServer | None = None) -> Route:
    """Return how the model that the settings name is reached.

    Raises:
        Misconfigured: It needs a server on this machine, and none was started.
    """
    if settings.model == "extractive":
        from app.model.extract import IDENTITY  # with it comes the stemmer; only this model needs it

        return Route(f"{PROVIDER}/extractive", f"{PROVIDER}/extractive", weights=IDENTITY)
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    if needs_local_server(settings):
        if server is not None:
            base_url, alias, weights = server.base_url, server.alias, server.weights
        elif os.environ.get(LOCAL_SERVER):
            base_url, alias, weights = os.environ[LOCAL_SERVER].split(" ")
        else:
            raise Misconfigured(f"The model `{settings.model}` is started by `citewell serve`: use it to run the server.")
        return Route(f"{PROVIDER}/{alias}", f"openai/{alias}", base_url, "none", weights)
    if settings.model_base_url and key is None and settings.model.startswith("openai/"):
        key = os.environ.get("OPENAI_API_KEY", "none")  # a server of one's own often wants no key; the client insists on one
    return Route(settings.model, settings.model, settings.model_base_url, key)


def open_retriever(settings: Settings, collection: str) -> Retriever:
    """Open a collection for searching alone, with neither model nor ledger.

    Raises:
        CollectionUnknown: Its name is none.
        IndexMissing: Nothing was published yet.
        IndexUnusable: It is damaged, or of another embedder.
    """
    embedder = open_embedder(settings)
    opened = snapshot.open_current(settings.indexes_dir, collection)
    return Retriever(opened, embedder, embedder.identity.as_json(), open_reranker(settings), dense_side(settings))


def search(settings: Settings, asked: Ask, caller: Caller, *, k: int) -> list[Hit]:
    """Search a collection without a service around it, honouring what the database says of its documents.

    Raises:
        CitewellError: As ``open_retriever``; or a filter is wrong, or the database can't be reached.
    """
    retriever = open_retriever(settings, asked.collection)
    engine = open_ledger(settings)
    try:
        with transaction(engine, reads=True) as session:
            standing = access.standing(session, asked.collection)
            found = access_of(session, asked.collection, standing) if standing else Access()
    finally:
        engine.dispose()
    return retriever.search(asked.question, k=k, within=retriever.readable(found, caller, asked.filters))


def open_reranker(settings: Settings) -> Reranker | None:
    """Load the reranker that the settings name, if they do."""
    return CrossEncoder(settings.retrieve.reranker) if settings.retrieve.reranker else None


def dense_side(settings: Settings) -> Dense:
    """Return who searches by vectors.

    Raises:
        Misconfigured: It needs a package that is not installed.
    """
    if settings.milvus.uri is None:
        return FILES
    from app.core.milvus import Milvus  # imported only where it is asked for
    from app.retrieve.milvus import MilvusDense

    def changed(collection: str, epoch: int) -> frozenset[str]:
        engine = open_ledger(settings)
        try:
            with transaction(engine, reads=True) as session:
                return frozenset(access.readers(session, collection, after=epoch))
        finally:
            engine.dispose()

    return MilvusDense(Milvus(settings.milvus), changed)


def open_embedder(settings: Settings) -> Embedder:
    """Load the embedder that the settings name."""
    return Embedder(find_embedder(settings.embedder), cache_dir=settings.cache_dir)


def open_follow(settings: Settings) -> "Follow | None":
    """Return what keeps the indexes up to object storage, not yet started; None where none is configured."""
    if settings.indexes_url is None:
        return None
    from app.follow import Follow

    return Follow(settings.indexes_url, settings.indexes_dir)


def _extractive(embedder: Embedder) -> "CustomLLM":
    from app.model.extractive import Extractive  # derives from LiteLLM's class: importing it takes seconds

    return Extractive(embedder)


@asynccontextmanager
async def open_service(
    settings: Settings, *, server: LocalServer | None = None, route: Route | None = None
) -> AsyncIterator[Service]:
    """Build everything a question needs, and close it in order.

    Args:
        settings: Everything an operator can change.
        server: The model that this machine serves to itself.
        route: Leads to the model in another way than the settings say; evals play recordings so.

    Raises:
        CitewellError: Something can't be opened; the message says what to do.
    """
    async with AsyncExitStack() as closing:
        engine = open_ledger(settings)
        closing.callback(engine.dispose)
        closing.push_async_callback(gateway.close)
        writer = Writer(engine)
        closing.callback(writer.close)
        embedder = open_embedder(settings)
        questions = Questions(embedder)
        closing.callback(questions.close)
        route = route or route_of(settings, server)
        wanted = Parameters(settings.call.temperature, settings.call.max_tokens, settings.call.seed)
        wanted, left_out = gateway.supported(route, wanted)
        if left_out:
            telemetry.log.warning("model", model=route.name, left_out=" ".join(left_out))
        live = Live(settings, engine, questions, route, wanted, open_reranker(settings), dense_side(settings))
        answering = Answering(settings, writer, questions, open_book(settings), tokens.counter(), live.serving, live.erased)
        if settings.model == "extractive":
            gateway.provide(lambda: _extractive(embedder))
        yield Service(settings, engine, live, answering, route, open_follow(settings))
