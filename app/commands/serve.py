"""``citewell serve``: checks, migrates, starts a local model where one is wanted, then runs the workers."""

import os
import tempfile

import click
import uvicorn

from app.api.auth import is_loopback
from app.core import telemetry, terminal
from app.core.config import Settings
from app.core.db import keys
from app.core.db.engine import open_ledger, transaction
from app.core.embed import ensure_onnx, find_embedder
from app.wiring import hand_to_workers, needs_local_server, start_local_server

_GRACE_S = 20


@click.command(epilog="Example: citewell serve --port 8000")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; another than loopback needs a key.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes; limits hold per worker.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve the HTTP API until Ctrl-C."""
    settings = terminal.settings(quiet=False)
    server = terminal.run(lambda: _prepare(settings, host))
    if workers > 1:  # set before a worker imports the metrics library: their figures are summed
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="citewell-metrics-")
    telemetry.log.info("serve", url=f"http://{host}:{port}", workers=workers, model=settings.model)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=None,  # one JSON line an event, ours
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
        proxy_headers=False,  # a forwarded address is a claim of the client's
    )
    del server  # until here the local model lives


def _prepare(settings: Settings, host: str) -> object:
    """Do once, in the parent, what the workers rely on; return what must stay alive."""
    engine = open_ledger(settings)
    try:
        with transaction(engine, reads=True) as session:
            closed = keys.any_ever(session)
    finally:
        engine.dispose()
    if not closed and not is_loopback(host):
        raise terminal.CliError(
            f"No key was ever created, so {host} would be open to whoever reaches it. Make one first: `citewell keys create`."
        )
    ensure_onnx(find_embedder(settings.embedder), settings.cache_dir)
    if not needs_local_server(settings):
        return None
    server = start_local_server(settings)
    hand_to_workers(server)
    return server
