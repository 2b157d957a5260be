"""Ingest on Ray: on a real cluster of two nodes the same comes out as here, also when one of them dies."""

import json
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import numpy as np
import pytest

from app.core import snapshot
from app.core.config import CHECKOUT, Settings
from app.core.embed import Embedder
from app.core.snapshot import Snapshot
from app.retrieve.retriever import Retriever
from ingest.build import build
from ingest.report import Report
from tests.conftest import make_settings
from tests.ingest.two_nodes import ADDRESS, Cluster, isolated, may_isolate

PLACES = ("cellar", "harbour", "archive", "kitchen", "workshop", "chapel", "attic", "market", "mill", "station")
THINGS = ("ledger", "lamp", "kettle", "rope", "atlas", "violin", "barometer", "loom", "anchor", "telescope")
DEEDS = ("mended", "counted", "painted", "weighed", "hidden", "sold", "measured", "polished", "borrowed", "lost")
pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all of them
ON_RAY = pytest.mark.skipif(
    not os.environ.get("CI") and not (find_spec("ray") and which("ip") and may_isolate()),
    reason="needs the extra `ray`, the command `ip` (Debian: iproute2) and namespaces (be root, or allow `unshare --net --pid`)",
)


def sentences(chance: random.Random, count: int) -> list[str]:
    return [
        f"In {chance.randrange(1600, 2000)} the {chance.choice(THINGS)} of the {chance.choice(PLACES)} was {chance.choice(DEEDS)} "
        f"with {chance.randrange(2, 900)} others, and {chance.choice(DEEDS)} again beside the {chance.choice(PLACES)}."
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handbook, many made-up pages, rows, and files that are refused by each of the steps."""
    assert CHECKOUT is not None
    chance, folder = random.Random("ray"), tmp_path_factory.mktemp("source") / "corpus"
    (folder / "pages").mkdir(parents=True)
    for page in sorted((CHECKOUT / "docs/handbook").glob("*.md"))[:9]:
        (folder / page.name).write_bytes(page.read_bytes())
    for number in range(21):
        text = "\n\n".join(" ".join(sentences(chance, 5)) for _ in range(8))
        (folder / f"pages/{number:03}.md").write_text(f"# Page {number}\n\n## Things\n\n{text}\n")
    rows = [{"_id": str(number), "title": "", "text": " ".join(sentences(chance, 3)), "n": number} for number in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"_id": "40", "text": " "}\nnot JSON\n')
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"nothing\n" * 50)
    (folder / "empty.md").write_text("\n")
    (folder / "noise.txt").write_bytes(bytes(range(256)) * 20)
    (folder / "pages/020-copy.md").write_bytes((folder / "pages/020.md").read_bytes())
    return folder


def settled(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, name: str) -> Settings:
    return make_settings(tmp_path_factory.mktemp(name), cache_dir)


@pytest.fixture(scope="module")
def local(corpus: Path, tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> tuple[Report, Snapshot]:
    settings = settled(tmp_path_factory, cache_dir, "local")
    report = build(corpus, collection="docs", settings=settings)
    return report, snapshot.open_current(settings.indexes_dir, "docs")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with isolated() as running:
        running.start_head()
        running.start_second_node()
        yield running


@pytest.fixture
def page(settings: Settings, tmp_path: Path) -> tuple[Settings, Path]:
    """A page that was indexed here and changed since."""
    path = tmp_path / "a.md"
    path.write_text("# A\n\nA page.\n")
    build(path, collection="docs", settings=settings)
    path.write_text("# A\n\nAnother page.\n")
    return settings, path


def environment(settings: Settings, **more: str) -> dict[str, str]:
    named = {"HOME": settings.home, "INDEXES_DIR": settings.indexes_dir, "INGEST__RAY_ADDRESS": ADDRESS}
    return {f"CITEWELL_{name}": str(value) for name, value in named.items()} | {"HF_HUB_OFFLINE": "1"} | more


def vectors_kept(settings: Settings) -> int:
    count = 0
    for path in settings.cache_dir.glob("vectors-*.db"):
        with sqlite3.connect(path, timeout=60) as db:
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'vectors'").fetchone():
                count += db.execute("SELECT COUNT(*) FROM vectors").fetchone()[0]
        db.close()
    return count


def assert_same(one: Snapshot, other: Snapshot, embedder: Embedder) -> None:
    """Documents, texts, ids; vectors within 1e-5; the same top 10 for 200 sentences of the documents."""
    assert list(snapshot.verify(other)) == []
    assert other.snapshot_id == one.snapshot_id
    assert list(other.documents()) == list(one.documents())
    assert [other.texts.read(d.revision) for d in other.documents()] == [one.texts.read(d.revision) for d in one.documents()]
    for left, right in zip(one.segments, other.segments, strict=True):
        count = len(left.chunks)
        assert [other.chunk(right, row) for row in range(count)] == [one.chunk(left, row) for row in range(count)]
        np.testing.assert_allclose(right.index.reconstruct_n(0, count), left.index.reconstruct_n(0, count), atol=1e-5)
    texts = [one.texts.read(document.revision) for document in one.documents()]
    probes = random.Random(200).sample(sorted({line for text in texts for line in text.split(". ") if len(line) > 40}), 200)
    first, second = (Retriever(opened, embedder, embedder.identity.as_json()) for opened in (one, other))
    for probe in probes:
        hits = [[hit.chunk.chunk_id for hit in way.search(probe, k=10)] for way in (first, second)]
        assert len(hits[0]) == 10
        assert hits[1] == hits[0], probe


@pytest.mark.slow
@ON_RAY
def test_two_nodes_make_what_one_process_makes(
    cluster: Cluster, corpus: Path, local: tuple[Report, Snapshot], embedder: Embedder, cache_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
):  # fmt: skip
    report, here = local
    settings = settled(tmp_path_factory, cache_dir, "ray")

    done = cluster.run(environment(settings), "ingest", corpus, "--engine", "ray", "--json")

    assert done.returncode == 0, done.stderr
    said = {**json.loads(done.stdout), "seconds": 0}
    assert said == {**report.as_json(), "seconds": 0}
    assert {one["code"] for one in said["refused"]} >= {"empty", "corrupt", "binary"}
    assert_same(here, snapshot.open_current(settings.indexes_dir, "docs"), embedder)


@pytest.mark.slow
@ON_RAY
def test_a_node_that_dies_midway_changes_nothing(
    cluster: Cluster, corpus: Path, local: tuple[Report, Snapshot], embedder: Embedder, cache_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
):  # fmt: skip
    report, here = local
    settings = settled(tmp_path_factory, cache_dir, "killed")

    cluster.start(environment(settings), "ingest", corpus, "--engine", "ray", "--json")
    deadline = time.monotonic() + 120
    while not (kept := vectors_kept(settings)) and time.monotonic() < deadline:
        time.sleep(0.05)
    cluster.kill_second_node()
    assert 0 < kept < 0.7 * report.embedded
    done = cluster.result()

    assert done.returncode == 0, done.stderr
    assert {**json.loads(done.stdout), "seconds": 0} == {**report.as_json(), "seconds": 0}
    assert_same(here, snapshot.open_current(settings.indexes_dir, "docs"), embedder)


@pytest.mark.slow
@ON_RAY
def test_a_cluster_whose_cpus_others_hold_is_given_up_and_nothing_is_published(cluster: Cluster, page: tuple[Settings, Path]):
    """Ray itself would wait for ever, and say nothing."""
    settings, changed = page
    before = (settings.indexes_dir / "docs/CURRENT").read_text()

    with cluster.all_cpus_held():
        done = cluster.run(environment(settings, CITEWELL_INGEST__RAY_STALL_SECONDS="8"), "ingest", changed, "--engine", "ray")

    assert (done.returncode, done.stdout) == (1, "")
    assert "Nothing came from the Ray cluster for 8 s (setting ingest.ray_stall_seconds)" in done.stderr
    assert (settings.indexes_dir / "docs/CURRENT").read_text() == before


@pytest.mark.slow
@ON_RAY
def test_a_cluster_that_is_not_there_or_has_no_cpu_is_an_error_that_says_what_to_do(page: tuple[Settings, Path]):
    settings, changed = page
    before = (settings.indexes_dir / "docs/CURRENT").read_text()
    ingest = ("ingest", changed, "--engine", "ray")

    with isolated() as machine:
        nowhere = machine.run(environment(settings), *ingest)
        nothing = machine.run(environment(settings, CITEWELL_INGEST__RAY_ADDRESS=""), *ingest)
        machine.start_head(cpus=0)
        empty = machine.run(environment(settings), *ingest)

    for done, says in (
        (nowhere, f"The Ray cluster at {ADDRESS} can't be reached ([Errno 111] Connection refused). Start one with `ray start"),
        (nothing, "There is no Ray cluster on this machine"),
        (empty, "The Ray cluster has no CPU"),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr
    assert (settings.indexes_dir / "docs/CURRENT").read_text() == before
