"""Fixtures that many tests share: settings that touch nothing outside a test, a small corpus, a running server."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.core.config import CallSettings, Settings, load_settings
from app.core.embed import Embedder, ensure_onnx, find_embedder
from app.core.types import Message
from app.model import gateway
from app.model.gateway import Call, Parameters, Route
from evals import upstream as fake
from ingest.build import build
from tests import postgres
from tests.shared_data import shared_data

if TYPE_CHECKING:
    from tests import s3

__all__ = ["shared_data"]

DOCUMENTS = {
    "retention.md": "# Retention\n\nAudit logs are kept for 365 days on the Enterprise plan. Other plans keep them for 30 days.\n",
    "ports.md": "# Ports\n\n## Gateway\n\nThe gateway listens on port 8443. It refuses plain HTTP.\n\n## Metrics\n\nMetrics are on port 9100.\n",
    "backups.md": "# Backups\n\nNightly backups are kept for ninety days. A restore takes about two hours.\n",
    "oncall.txt": "Page the database team first. The database team answers within fifteen minutes.\n",
    "unicode.md": "# Ünïcode 😀\n\nDas Büro in Köln öffnet um acht Uhr. 数据保留三十天。 The 😀 team meets on Fridays at noon.\n",
}
QUESTION = "How long are audit logs kept on the Enterprise plan?"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's settings, and none reads or writes the checkout."""
    for name in [name for name in os.environ if "CITEWELL_" in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """The exported embedder, made once for all workers and runs."""
    folder = Path(tempfile.gettempdir()) / f"citewell-test-cache-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ensure_onnx(find_embedder("minilm"), folder)
    return folder


@pytest.fixture(scope="session")
def embedder(cache_dir: Path) -> Embedder:
    return Embedder(find_embedder("minilm"), cache_dir=cache_dir)


def make_settings(home: Path, cache_dir: Path, **more: str) -> Settings:
    """Settings whose every path lies below ``home``, but for the exported embedder."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "cache").mkdir(exist_ok=True)
    for exported in cache_dir.glob("*.onnx"):
        if not (home / "cache" / exported.name).exists():
            (home / "cache" / exported.name).symlink_to(exported)
    return load_settings({"CITEWELL_HOME": str(home), "CITEWELL_INDEXES_DIR": str(home / "indexes"), **more})


@pytest.fixture
def settings(tmp_path: Path, cache_dir: Path) -> Settings:
    return make_settings(tmp_path / "home", cache_dir)


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """An indexes folder with the small corpus in the collection ``docs``; read only."""
    home = tmp_path_factory.mktemp("indexed")
    docs = write_documents(home / "corpus")
    build(docs, collection="docs", settings=make_settings(home, cache_dir))
    return home / "indexes"


def write_documents(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def provider() -> Iterator[fake.Upstream]:
    """A fake provider on loopback, called once each way: LiteLLM's first call imports for seconds, past a test's deadline."""
    with fake.running() as running:
        asyncio.run(_warm(running))
        yield running


async def _warm(provider: fake.Upstream) -> None:
    for stream in (False, True):
        route = Route("openai/fake", "openai/fake", provider.url(), "sk-none")
        call = Call(route, Parameters(0.0, 10, 1), [Message("user", "hello")], CallSettings())
        async for _ in call.pieces(stream=stream):
            pass
    await gateway.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A real PostgreSQL for this session; skips loudly where none is installed, and fails in CI."""
    if postgres.binaries() is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have PostgreSQL's server: .ci/run installs it")
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 on loopback."""
    from tests import s3  # its packages take a second to import, which only tests of storage pay

    with s3.running() as address:
        yield address


@pytest.fixture
def bucket_of_s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator["s3.Bucket"]:
    """An empty bucket, with the keys to it in the environment."""
    from tests import s3

    with s3.bucket(s3_server, monkeypatch) as made:
        yield made


@pytest.fixture(params=["memory", "file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for snapshots: memory, a disk and S3 must pass the same tests."""
    if request.param == "s3":
        return str(request.getfixturevalue("bucket_of_s3").url)
    return f"memory://{tmp_path.name}-{os.urandom(4).hex()}/indexes" if request.param == "memory" else f"file://{tmp_path}/store"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: SQLite and a real PostgreSQL must pass the same tests."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
    else:
        with request.getfixturevalue("postgres_server").database() as url:
            yield url
