"""Law 10: nothing calls home. In CI the whole suite runs in a namespace with loopback alone; here sockets are watched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.config import CHECKOUT
from tests.conftest import QUESTION, write_documents

WATCH = """
import sys
def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and not str(args[1][0]).startswith(("127.", "::1", "localhost")):
        sys.stderr.write(f"CONNECTS {args[1]}\\n")
    if event == "socket.getaddrinfo" and args[0] not in (None, "localhost", "127.0.0.1", "::1", "0.0.0.0"):
        sys.stderr.write(f"LOOKS UP {args[0]}\\n")
sys.addaudithook(watch)
from app.cli import main
sys.argv = ["citewell", *sys.argv[1:]]
main()
"""


def test_a_test_can_not_leave_this_machine():
    import socket

    with pytest.raises(Exception, match=r"(?i)socket|blocked|allowed"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


@pytest.mark.slow
def test_ingesting_and_asking_connect_to_nobody(tmp_path: Path, cache_dir: Path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "cache").symlink_to(cache_dir)
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "CITEWELL_HOME": str(home), "CITEWELL_INDEXES_DIR": str(home / "indexes")}
    env.pop("HF_HUB_OFFLINE", None)  # a user has not set it
    docs = write_documents(tmp_path / "corpus")
    for args in (["ingest", str(docs)], ["ask", QUESTION], ["search", "logs"], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-c", WATCH, *args], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "CONNECTS" not in done.stderr, done.stderr
        assert "LOOKS UP" not in done.stderr, done.stderr


@pytest.mark.skipif(not os.environ.get("CI"), reason="CI runs the suite in a network namespace; here there may be a network")
def test_ci_runs_without_a_network():
    routes = Path("/proc/net/route").read_text().splitlines()[1:]

    assert routes == [], "only loopback may be up"
