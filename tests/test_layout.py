"""The packaging facts this layout depends on."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import app
import evals
import ingest
from app.core.config import CHECKOUT

ROOT = Path(__file__).parents[1]


def test_our_packages_come_from_this_checkout():
    for package in (app, ingest, evals):
        assert package.__file__ is not None
        assert package.__file__.startswith(str(CHECKOUT))


def test_no_other_distribution_ships_our_names():
    owners = packages_distributions()
    for name in ("app", "ingest", "evals"):
        assert set(owners.get(name, [])) <= {"citewell"}


def test_every_dependency_is_locked_with_hashes_and_torch_is_not_among_them():
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        names = [line.split("==")[0] for line in text.splitlines() if "==" in line]
        assert text.count("--hash=sha256:") >= len(names) > 80
        assert not {name for name in names if name.startswith(("torch", "nvidia", "triton", "citewell"))}
        assert "litellm==1.106.2" in text


@pytest.mark.slow
def test_the_wheel_installs_and_runs_from_another_folder(tmp_path: Path, cache_dir: Path):
    for name in ("app", "ingest", "evals", "prompts", "docs"):
        shutil.copytree(ROOT / name, tmp_path / "src" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "prices.yaml"):
        shutil.copy(ROOT / name, tmp_path / "src")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(tmp_path / "src")],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        tops = {name.split("/")[0] for name in names}
        assert {t for t in tops if not t.endswith(".dist-info")} == {"app", "ingest", "evals"}
        assert {"app/_data/prices.yaml", "app/_data/prompts/labels.yaml", "app/_data/prompts/answer/v1.prompt.md"} <= names
        assert {"app/core/db/migrations/versions/0001_the_first_tables.py", "app/web/index.html", "app/web/app.js"} <= names
        assert {"evals/suites/smoke.yaml", "evals/data/smoke/cases.jsonl", "evals/data/answers/pages/battery.md"} <= names
        archive.extractall(tmp_path / "site")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# Lunch\n\nLunch is served at noon.\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "cache").symlink_to(cache_dir)
    # Only the wheel's files, and the environment's libraries: the checkout is not on the path.
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "CITEWELL_HOME": str(home)}
    for args, says in (
        (["ingest", str(tmp_path / "docs")], "published"),
        (["ask", "When is lunch served?"], "noon"),
        (["doctor"], "prompts"),
        (["evals", "run", "answers", "--limit", "3"], "3 calls were played from recordings"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *args], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert says in done.stdout, done.stderr
    assert (home / "indexes/docs/CURRENT").exists()
