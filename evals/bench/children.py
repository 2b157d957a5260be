"""The processes of a benchmark: started, spoken to over pipes, measured in ``/proc``, and stopped whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from evals.bench.figures import Failed, Load

ROOT = Path(__file__).parents[2]
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "ORT_DISABLE_TELEMETRY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: none of the developer's settings, nothing that would call out, and bytecode that is kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CITEWELL_", "PYTHONDONTWRITEBYTECODE"))}
    return {**kept, "PYTHONPATH": str(ROOT), **_QUIET, **more}


@contextmanager
def process(command: list[str], *, env: dict[str, str], cwd: Path, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own; on the way out it is told to stop, and killed if it does not."""
    child = subprocess.Popen(command, env=env, cwd=cwd, start_new_session=True, **pipes)
    try:
        yield child
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if child.poll() is None:
                os.killpg(child.pid, number)
                try:
                    child.wait(25)
                except subprocess.TimeoutExpired:
                    continue
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


class Measurer:
    """A process that measures on demand: one JSON line in, one out."""

    def __init__(self, child: subprocess.Popen[bytes], log: Path) -> None:
        self._child = child
        self._log = log

    def __call__(self, *, callers: int, first: int, requests: int) -> Load:
        """Return what so many callers saw."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(orjson.dumps({"callers": callers, "first": first, "requests": requests}) + b"\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise Failed(f"A measuring process ended: {self._log.read_text()[-2000:]}")
        return Load(**orjson.loads(line))

    @property
    def cpu_s(self) -> float:
        """Processor seconds that it has used."""
        return cpu_seconds(self._child.pid)


@contextmanager
def measurer(module: str, *args: str, folder: Path) -> Iterator[Measurer]:
    """Run ``evals.bench.load`` or ``evals.bench.bare``."""
    log = folder / f"{module}.log"
    command = [sys.executable, "-m", f"evals.bench.{module}", *args]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with log.open("ab") as err, process(command, env=environment(), cwd=folder, stderr=err, **pipes) as child:
        yield Measurer(child, log)


@contextmanager
def provider(folder: Path) -> Iterator[str]:
    """Run the instant provider; yields its base URL."""
    port = _free_port()
    command = [sys.executable, "-m", "evals.bench.provider", str(port)]
    url = f"http://127.0.0.1:{port}"
    log = folder / "provider.log"
    with log.open("wb") as out, process(command, env=environment(), cwd=folder, stdout=out, stderr=out) as child:
        _wait(url, child, log)
        yield url + "/v1"


class Server:
    """A running ``citewell serve``."""

    def __init__(self, child: subprocess.Popen[bytes], url: str, ready_s: float) -> None:
        self.child = child
        self.url = url
        self.ready_s = ready_s
        """From the start of the process until ``/readyz`` said yes."""

    @property
    def cpu_s(self) -> float:
        """Processor seconds of the process and its children."""
        return sum(cpu_seconds(pid) for pid in _tree(self.child.pid))

    @property
    def memory_mb(self) -> tuple[float, float] | None:
        """Resident and proportional megabytes of the process and its children; None where the system does not say."""
        totals = {"Rss": 0.0, "Pss": 0.0}
        try:
            for pid in _tree(self.child.pid):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in totals:
                        totals[name] += int(value.split()[0]) / 1000
        except OSError:
            return None
        return totals["Rss"], totals["Pss"]

    def ready(self) -> dict[str, Any]:
        """Return what ``/readyz`` says."""
        return get(self.url + "/readyz")

    def wait_for_model(self) -> None:
        """Wait until the model library is there, so that no request waits for its import."""
        deadline = time.monotonic() + 120
        while self.ready()["model"]["state"] != "ok":
            if time.monotonic() > deadline:
                raise Failed("The model library was not imported within two minutes.")
            time.sleep(0.1)


@contextmanager
def server(folder: Path, settings: dict[str, str]) -> Iterator[Server]:
    """Run ``citewell serve`` until it is ready, as its own command would."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / "server.log"
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
    started = time.perf_counter()
    with log.open("wb") as out, process(command, env=environment(**settings), cwd=folder, stdout=out, stderr=out) as child:
        _wait(url + "/readyz", child, log)
        yield Server(child, url, time.perf_counter() - started)


def get(url: str) -> dict[str, Any]:
    """Fetch a JSON document from loopback."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  always http on 127.0.0.1
        found: dict[str, Any] = orjson.loads(response.read())
        return found


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds of one process; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> list[int]:
    try:
        children = [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(deeper for child in children for deeper in _tree(child))]


def _wait(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            get(url)
            return
        except (urllib.error.URLError, OSError, ValueError):
            if child.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"A process did not become ready: {log.read_text()[-2000:]}") from None
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
