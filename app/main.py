"""Settings -> the web application: ``uvicorn app.main:create_app --factory``, or ``citewell serve``. Importing opens nothing."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import FrameType
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from app.api import answers, errors, handbook, health, pages, search
from app.api.edge import Edge
from app.core import telemetry
from app.core.config import Settings, load_settings
from app.model import gateway
from app.wiring import Service, open_service

_DRAIN_S = 15.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; what it needs is opened when it starts and closed when it stops."""
    settings = settings or load_settings()
    telemetry.configure(settings.log_level)
    app = FastAPI(
        title="Citewell",
        version=version("citewell"),
        description="Answers from your documents, with every citation checked and every cent accounted for.",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.tasks = set()
    errors.install(app)
    app.add_middleware(Edge, limits=settings.limits)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After"],
            max_age=600,
        )
    for router in (answers.router, search.router, health.router, handbook.router, pages.router):
        app.include_router(router)
    app.mount("/docs/assets", StaticFiles(directory=swagger_ui_path), name="docs-assets")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    telemetry.BUILD_INFO.labels(version("citewell")).set(1)
    async with open_service(app.state.settings) as service:
        app.state.service = service
        if service.follow is not None:
            service.follow.start()
        background = [asyncio.create_task(service.live.keep_fresh()), asyncio.create_task(asyncio.to_thread(gateway.load))]
        with _ending_answers_on_signal(app, service):
            yield
        service.answering.stopping.set()
        if service.follow is not None:
            service.follow.stop()
        if app.state.tasks:  # an answer that was told to end still settles its rows
            await asyncio.wait(set(app.state.tasks), timeout=_DRAIN_S)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


@contextlib.contextmanager
def _ending_answers_on_signal(app: FastAPI, service: Service) -> Any:
    """End running answers when the process is told to stop, before the server waits for them.

    The lifespan's own end is too late: without a limit it comes after the last stream, with one after the streams were cut.
    """
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {}
    ours = (int(signal.SIGTERM), int(signal.SIGINT))

    def stop() -> None:
        service.answering.stopping.set()
        for task in set(app.state.tasks):
            task.cancel()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)
        if callable(previous[number]):
            previous[number](number, frame)

    with contextlib.suppress(ValueError):  # only a main thread may hook signals; a test's server has its own way to stop
        for number in ours:
            previous[number] = signal.getsignal(number)
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)
