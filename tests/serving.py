"""A real server on a free loopback port: streams, disconnects and limits can't be tested without one."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from app.core.config import Settings
from app.main import create_app


@contextmanager
def in_thread(settings: Settings) -> Iterator[httpx.Client]:
    """Serve in a thread of this process; yields a client of it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = create_app(settings)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60) as client:
                client.app = app  # type: ignore[attr-defined]
                yield client
        finally:
            server.should_exit = True
            thread.join(20)


@dataclass
class Process:
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path


@contextmanager
def as_process(env: dict[str, str], folder: Path, *args: str, ready: str = "/readyz") -> Iterator[Process]:
    """Run ``citewell serve`` and wait until it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "server.log"
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), *args]
    root = str(Path(__file__).parents[1])
    full = {**{k: v for k, v in os.environ.items() if "CITEWELL_" not in k}, "PYTHONPATH": root, **env}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=full, cwd=folder, stdout=out, stderr=out, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(url + ready, timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        yield Process(process, url, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def events_of(text: str) -> list[dict[str, Any]]:
    """Parse server-sent events, checking that `event:` and `id:` say what the data says."""
    found = []
    for block in re.split(r"\n\n", text):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            data = json.loads(fields["data"])
            assert (fields["event"], fields["id"]) == (data["type"], str(data["seq"]))
            found.append(data)
    return found


def stream(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    """Ask, streamed; return the events."""
    response = client.post("/v1/answers", json={**body, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events_of(response.text)
