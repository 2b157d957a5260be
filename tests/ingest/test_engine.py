"""The seam behind which a cluster works, without one: order, repetition, what stops a run, and what is imported."""

import pickle
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.config import CHECKOUT, Settings
from app.core.embed import find_embedder
from app.core.errors import Misconfigured
from ingest import cluster
from ingest.build import build
from ingest.cluster import Cluster
from ingest.engine import Local
from ingest.load import Item, Refused
from ingest.prepare import Preparing, Wanted
from ingest.rules import Rules
from ingest.worker import Worker
from tests.conftest import make_settings, write_documents

FILES = find_embedder("minilm")


class Careless(Cluster):
    """Workers in this process, whose answers come twice and in any order, as those of a cluster may."""

    def _answers(self, kind: type[Worker], rows: Sequence[Any], more: tuple[Any, ...]) -> Iterator[tuple[int, bytes]]:
        worker = kind(pickle.loads(pickle.dumps(self._setup)), *more)
        answers = [(number, pickle.dumps(worker._answer(pickle.loads(pickle.dumps(row))))) for number, row in enumerate(rows)] * 2
        if worker._fault is None:
            worker._preparing.__exit__()  # type: ignore[attr-defined]
        random.Random(5).shuffle(answers)
        yield from answers


def found(count: int, *, letters: int = 40) -> list[Wanted | Refused]:
    some: list[Wanted | Refused] = []
    for number in range(count):
        if number % 7 == 3:
            some.append(Refused(f"{number}.md", f"s/{number}.md", "erased", "It was deleted."))
            continue
        raw = b"" if number % 7 == 5 else f"# Page {number}\n\n{'x' * letters}\n".encode()
        some.append(Wanted(Item(f"{number}.md", f"s/{number}.md", raw, ".md"), f"doc_{number}", f"print {number}"))
    return some


@pytest.mark.parametrize("held", [1 << 20, 300])
def test_what_comes_back_twice_and_in_any_order_is_what_one_process_makes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, held: int
):
    monkeypatch.setattr(cluster, "_HELD", held)
    items = found(40)

    made = list(Careless(settings, FILES, Rules(settings.ingest), 2).prepare(iter(items)))

    with Preparing(settings.ingest, FILES, Rules(settings.ingest)) as preparing:
        assert made == list(Local(preparing).prepare(iter(items)))
    assert {one.code for one in made if isinstance(one, Refused)} == {"erased", "empty"}


def test_no_more_is_held_than_a_part_and_its_last_item(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "_HELD", 1_000)
    items = found(50, letters=280)

    parts = list(cluster._parts(iter(items)))

    assert [one for part in parts for one in part] == items
    assert len(parts) > 5
    for part in parts:
        assert sum(len(one.item.raw) for one in part[:-1] if isinstance(one, Wanted)) < 1_000


def test_a_row_holds_few_items_since_nothing_is_heard_of_it_before_the_last():
    wanted = [one for one in found(100) if isinstance(one, Wanted)]
    large = [replace(one, item=replace(one.item, raw=b"x" * 700_000)) for one in wanted[:5]]

    assert max(len(group) for group in cluster._groups(wanted)) == 8
    assert [len(group) for group in cluster._groups(large)] == [2, 2, 1]
    assert [one for group in cluster._groups(wanted) for one in group] == wanted


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"made_by": ("citewell 0.0.1", "p", "n", "c")}, "this machine has `citewell 0.0.1`"),
        ({"identity": replace(FILES.identity, weights="00")}, "Its embedder `minilm` is another one"),
        ({"embedder": "no-such-folder"}, "neither `minilm` nor a folder"),
    ],
)
def test_a_worker_that_would_make_other_texts_or_vectors_stops_the_run(settings: Settings, other: dict[str, Any], says: str):
    careless = Careless(settings, FILES, Rules(settings.ingest), 1)
    careless._setup = replace(careless._setup, **other)

    with pytest.raises(Misconfigured, match=says):
        list(careless.prepare(iter(found(3))))


def test_rules_reach_a_worker_without_their_files(tmp_path: Path, cache_dir: Path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"required": ["owner"]}')
    settings = make_settings(
        tmp_path / "home", cache_dir, CITEWELL_INGEST__METADATA_SCHEMA=str(schema), CITEWELL_INGEST__LANGUAGES="en"
    )
    careless = Careless(settings, FILES, Rules(settings.ingest), 1)
    schema.unlink()

    made = list(careless.prepare(iter(found(2))))

    assert [one.code for one in made if isinstance(one, Refused)] == ["metadata_invalid"] * 2


def test_a_row_that_is_lost_is_an_error(settings: Settings):
    class Losing(Careless):
        def _answers(self, *args: Any) -> Iterator[tuple[int, bytes]]:
            return (answer for answer in super()._answers(*args) if answer[0] != 0)

    with pytest.raises(Misconfigured, match="lost 1 of 1 results"):
        list(Losing(settings, FILES, Rules(settings.ingest), 1).prepare(iter(found(3))))


def test_without_the_extra_it_says_how_to_install_it(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(Misconfigured, match=r"pip install 'citewell\[ray\]'"):
        build(write_documents(tmp_path / "docs"), collection="docs", settings=settings, works="ray")
    assert not (settings.indexes_dir / "docs/CURRENT").exists()


def test_a_local_run_imports_nothing_of_it(tmp_path: Path, settings: Settings):
    docs = write_documents(tmp_path / "docs")
    code = (
        "import sys; from app.cli import main\n"
        f"sys.argv = ['citewell', 'ingest', {str(docs)!r}]\n"
        "main.__globals__['cli'](standalone_mode=False)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('ray', 'pyarrow', 'pandas') or name == 'ingest.cluster'])"
    )
    env = {"PYTHONPATH": str(CHECKOUT), "CITEWELL_HOME": str(settings.home), "CITEWELL_INDEXES_DIR": str(settings.indexes_dir)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)

    assert "published" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
