"""Whether the service lives, whether it can serve, and its figures."""

import os
from asyncio import to_thread

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

from app.api.auth import from_this_machine, identify
from app.api.errors import documents
from app.api.schemas import AliveBody, PartBody, ReadyBody
from app.core import telemetry
from app.core.db import ledger
from app.core.db.engine import transaction
from app.core.errors import CitewellError, Forbidden
from app.model import gateway
from app.wiring import Service

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_model=AliveBody, summary="Alive?")
async def healthz() -> AliveBody:
    """Answer as long as the process does."""
    return AliveBody(alive=True)


@router.get(
    "/readyz",
    response_model=ReadyBody,
    responses={503: {"model": ReadyBody, "description": "Not ready"}},
    summary="Ready to serve?",
)
async def readyz(request: Request, response: Response) -> ReadyBody:
    """Say whether requests can be served, and what each part says."""
    service: Service = request.app.state.service
    database = await to_thread(service.ping_database)
    index = _index(service)
    if service.answering.stopping.is_set():
        index = PartBody(state="stopping")
    ready = index.state == "ok" and database == "ok"
    response.status_code = 200 if ready else 503
    return ReadyBody(
        ready=ready,
        index=index,
        database=PartBody(state="ok") if database == "ok" else PartBody(state="down", detail=database),
        model=_model(service),
    )


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}, **documents()}, summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """Show the metrics to a caller on this machine, or with the scope ``usage``."""
    engine = request.app.state.service.engine
    if not from_this_machine(request) and not (await to_thread(identify, engine, request)).may("usage"):
        raise Forbidden("This key lacks the scope `usage`.")
    telemetry.LEDGER_PENDING.set(await to_thread(_pending, engine))
    registry = None
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # several workers: their figures are summed
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own
    return Response(generate_latest(registry) if registry else generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _pending(engine: object) -> int:
    with transaction(engine, reads=True) as session:  # type: ignore[arg-type]  # the app's state is untyped
        return ledger.pending(session)


def _index(service: Service) -> PartBody:
    loaded = service.live.loaded()
    faults = "; ".join(f"{name}: {message}" for name, message in sorted(service.faults().items()))
    if loaded:
        return PartBody(state="ok", detail=faults or None)
    if service.follow is not None and not service.follow.looked:
        return PartBody(state="missing", detail="It is being fetched from object storage.")
    return PartBody(state="down" if faults else "missing", detail=faults or "Build one with `citewell ingest PATH`.")


def _model(service: Service) -> PartBody:
    try:
        service.answering.prices.price(service.route.name)
    except CitewellError as error:
        return PartBody(state="down", detail=error.message)
    return PartBody(state="ok" if gateway.loaded() else "starting", detail=service.route.name)
