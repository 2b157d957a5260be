"""Law 7 on object storage: a writer that is killed at any step leaves there what was, or what it was to make; on any machine."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core import snapshot
from app.core.snapshot.head import read_head
from app.core.snapshot.store import Store
from ingest.publish import exclusive
from ingest.push import Remote
from tests.ingest.test_law_7 import killed
from tests.s3 import Bucket
from tests.stores import clean, content, content_of, fetch, ingest, roll_back

uris = st.sampled_from("abcdef")
texts = st.sampled_from(["one gate", "two gates\n\nand a door", "three"])


@dataclass(frozen=True)
class Step:
    """What a machine does, and the step on its disk or the store's at which it is killed."""

    what: dict[str, str] | frozenset[str] | None
    """Documents to ingest, documents to take out, or going back."""
    machine: int
    at: int | None


steps = st.lists(
    st.builds(
        Step,
        st.one_of(st.dictionaries(uris, texts, max_size=6), st.frozensets(uris, max_size=3), st.none()),
        st.integers(0, 2),
        st.none() | st.integers(1, 200),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@given(steps=steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_law_7_killed_at_any_step_the_store_holds_what_was_or_what_was_to_be(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[Step]
):
    top = tmp_path_factory.mktemp("law")
    url, machines = f"file://{top}/store", [top / f"machine{number}" for number in range(3)]
    replica, fresh = top / "replica", iter(range(1000))

    def held() -> dict[str, str]:
        """Return what a new replica finds, which must be whole, and see that one that followed all along finds the same."""
        if read_head(Store(url), "docs") is None:
            return {}
        fetch(url, new := top / f"fresh{next(fresh)}")
        fetch(url, replica)
        assert content(new) == content(replica)
        return content(new)

    for step in steps:
        root, before = machines[step.machine], held()
        if isinstance(step.what, dict):
            ends = [step.what]
            work: Callable[[], object] = lambda what=step.what, root=root: ingest(url, root, what)  # noqa: E731
        elif isinstance(step.what, frozenset):
            ends = [{uri: text for uri, text in before.items() if uri not in step.what}]
            work = lambda what=step.what, root=root: clean(url, root, what)  # noqa: E731
        else:
            head = read_head(Store(url), "docs")
            earlier = sorted({*head.manifests} - {head.snapshot}) if head else []
            if not earlier:
                continue
            ends = [_content_of(url, top / f"fresh{next(fresh)}", earlier[0])]
            work = lambda root=root, target=earlier[0]: roll_back(url, root, target)  # noqa: E731

        died = killed(work, step.at or 10**9)

        assert died <= (step.at is not None)
        assert held() in ([before, *ends] if died else ends)
        if not died:
            assert content(root) in ends
            if isinstance(step.what, frozenset):
                _nothing_left(url, {uri: text for uri, text in before.items() if uri in step.what})

    ingest(url, machines[0], {"z": "the end"})  # whatever was left behind is in nobody's way
    assert held() == content(machines[0]) == {"z": "the end"}
    clean(url, machines[1], frozenset())
    assert not [key for key in Store(url).sizes("docs") if key.endswith(".tmp")]


WRITER = """
import sys
from pathlib import Path
from tests.stores import ingest
url, root, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
while True:
    number += 1
    ingest(url, root, {f"{i}.md": f"Text {number} of document {i}. " * 40 for i in range(12)})
    print("published", flush=True)
"""


@pytest.mark.slow
def test_law_7_a_kill_at_a_random_instant_tears_nothing_on_s3(bucket_of_s3: Bucket, tmp_path: Path):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    env = {**os.environ, **bucket_of_s3.env, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    seen: set[str] = set()
    for round_ in range(8):
        machine = tmp_path / f"machine{chance.randrange(2)}"
        command = [sys.executable, "-c", WRITER, bucket_of_s3.url, str(machine), str(round_ * 1000)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, env=env, start_new_session=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        began = time.perf_counter()
        assert writer.stdout.readline() == b"published\n"
        time.sleep(chance.uniform(0, 2 * (time.perf_counter() - began)))
        os.killpg(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        fetch(bucket_of_s3.url, tmp_path / f"new{round_}")
        fetch(bucket_of_s3.url, tmp_path / "replica")
        found = content(tmp_path / f"new{round_}")
        assert found == content(tmp_path / "replica"), f"seed {seed}, round {round_}"
        assert len(found) == 12, f"seed {seed}, round {round_}"
        assert len({text.split(" of ")[0] for text in found.values()}) == 1  # all of one publication
        seen.add(found["0.md"])
    assert len(seen) > 4
    ingest(bucket_of_s3.url, tmp_path / "machine0", {"z": "the end"})
    fetch(bucket_of_s3.url, tmp_path / "replica")
    assert content(tmp_path / "replica") == {"z": "the end"}


def _content_of(url: str, root: Path, identity: str) -> dict[str, str]:
    """Return an earlier snapshot's content, as a new writer finds it."""
    with exclusive(root, "docs"):
        Remote(Store(url), root, "docs").catch_up()
    return content_of(root, snapshot.open_snapshot(root, "docs", identity))


def _nothing_left(url: str, erased: dict[str, str]) -> None:
    """See that no object holds a document that was taken out."""
    store = Store(url)
    for key in store.sizes("docs"):
        data = store.get(key) or b""
        for uri in erased:
            assert f'"uri": "{uri}"'.encode() not in data, key
