"""A real PostgreSQL on a free loopback port, for tests."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy


def binaries() -> Path | None:
    """Where Debian keeps the server's programs, the newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "initdb").exists()), None)


@dataclass(frozen=True)
class Server:
    port: int

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """An empty database of its own."""
        name = "t" + secrets.token_hex(6)
        admin = sqlalchemy.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        try:
            yield self.url(name)
        finally:
            with admin.connect() as connection:
                connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
            admin.dispose()


@contextmanager
def running() -> Iterator[Server]:
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="citewell-pg-"))  # in /tmp: `nobody` must reach it
    as_nobody = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "nobody")
        as_nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, env=env, cwd="/", stdout=subprocess.DEVNULL, **as_nobody,
    )  # fmt: skip
    options = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
    ]
    command = [programs / "postgres", "-D", folder / "data", "-p", str(port), *(word for o in options for word in ("-c", o))]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=env, cwd="/", stderr=log, **as_nobody)
    try:
        deadline = time.monotonic() + 60
        # Waiting for the port is not enough: it opens before the server takes connections.
        while subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not become ready"
            time.sleep(0.05)
        yield Server(port)
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
