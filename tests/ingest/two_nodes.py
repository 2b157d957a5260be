# ruff: noqa: T201  it talks over its pipes
"""A real Ray cluster on this machine, in namespaces of its own: it has loopback alone, and all of it ends with its first process.

The outer part is used by tests. The inner one is process 1 of the namespaces, and does what it is told. Node 2 has a namespace of
processes below that: its first process is all that must be killed for everything on it to end at once, as by a power cut.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.core.config import CHECKOUT

ADDRESS = "127.0.0.1:6379"
ISOLATED = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
_RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--object-store-memory=200000000", "--disable-usage-stats")


def may_isolate() -> bool:
    """Whether this user may make namespaces."""
    return subprocess.run([*ISOLATED, "true"], capture_output=True, check=False).returncode == 0


class Cluster:
    """None at first, then one of a node or two with a CPU each: the fewest there can be."""

    def __init__(self, inner: "subprocess.Popen[str]") -> None:
        self._inner = inner

    def start_head(self, *, cpus: int = 1) -> None:
        """Start the first node."""
        self._say("head", cpus)

    def start_second_node(self) -> None:
        """Start another, and wait until both are known."""
        self._say("second")

    def kill_second_node(self) -> None:
        """End all of its processes at once."""
        self._say("kill")

    def start(self, env: dict[str, str], *args: str | Path) -> None:
        """Start a command of ours where the first node is."""
        self._say("start", [sys.executable, "-m", "app.cli", *map(str, args)], env)

    def result(self) -> "subprocess.CompletedProcess[str]":
        """Wait for it."""
        return subprocess.CompletedProcess([], *self._say("result"))

    def run(self, env: dict[str, str], *args: str | Path) -> "subprocess.CompletedProcess[str]":
        """Do both."""
        self.start(env, *args)
        return self.result()

    @contextmanager
    def all_cpus_held(self) -> Iterator[None]:
        """Have another driver hold them."""
        self._say("hold")
        yield
        self._say("release")

    def _say(self, *words: Any) -> Any:
        assert self._inner.stdin is not None
        assert self._inner.stdout is not None
        print(json.dumps(words), file=self._inner.stdin, flush=True)
        line = self._inner.stdout.readline()
        assert line, "the cluster is gone"
        return json.loads(line)


@contextmanager
def isolated() -> Iterator[Cluster]:
    """Make the namespaces; end all that ran in them."""
    with tempfile.TemporaryDirectory(
        prefix="r", dir="/tmp", ignore_cleanup_errors=True
    ) as short:  # a socket's path: 107 characters
        env = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "HOME": short,
            "RAY_TMPDIR": short, "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip
        inner = subprocess.Popen(
            [*ISOLATED, sys.executable, "-m", "tests.ingest.two_nodes", short],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=CHECKOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield Cluster(inner)
        finally:
            inner.kill()
            inner.communicate()


class _Inner:
    def __init__(self, short: Path) -> None:
        self._short = short

    def head(self, cpus: int) -> None:
        where = [
            "--head",
            "--node-ip-address=127.0.0.1",
            "--port=6379",
            "--include-dashboard=false",
            f"--temp-dir={self._short}/r",
        ]
        subprocess.run([*_RAY, *where, f"--num-cpus={cpus}"], stdout=sys.stderr, check=True)

    def second(self) -> None:
        where = [f"--address={ADDRESS}", "--node-ip-address=127.0.0.2", "--num-cpus=1", "--block"]
        below = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        self._second = subprocess.Popen([*below, *_RAY, *where], stdout=sys.stderr)
        subprocess.run([sys.executable, "-c", _BOTH], stdout=sys.stderr, check=True)

    def kill(self) -> None:
        self._second.kill()
        self._second.wait()

    def start(self, args: list[str], env: dict[str, str]) -> None:
        self._running = subprocess.Popen(
            args, env={**os.environ, **env}, cwd=self._short, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def result(self) -> tuple[int, str, str]:
        out, err = self._running.communicate()
        return self._running.returncode, out, err

    def hold(self) -> None:
        self._holder = subprocess.Popen([sys.executable, "-c", _HOLDS], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"held\n"

    def release(self) -> None:
        self._holder.kill()
        self._holder.communicate()


_BOTH = f"""
import ray, time
ray.init(address="{ADDRESS}", log_to_driver=False)
while ray.cluster_resources().get("CPU") != 2:
    time.sleep(0.2)
"""
_HOLDS = f"""
import ray, time
ray.init(address="{ADDRESS}", log_to_driver=False)
class Holder:
    def there(self):
        pass
holders = [ray.remote(num_cpus=1)(Holder).remote() for _ in range(int(ray.cluster_resources()["CPU"]))]
ray.get([holder.there.remote() for holder in holders])
print("held", flush=True)
time.sleep(600)
"""

if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    inner = _Inner(Path(sys.argv[1]))
    for line in sys.stdin:
        what, *more = json.loads(line)
        print(json.dumps(getattr(inner, what)(*more)), flush=True)
