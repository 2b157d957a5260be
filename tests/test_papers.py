"""What the papers say must be so."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from app.cli import _ABOUT
from app.core import errors
from app.core.config import load_effective

ROOT = Path(__file__).parents[1]
HANDBOOK = ROOT / "docs/handbook"
TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\0")[:-1]


def test_the_readme_names_the_two_commands_and_only_targets_that_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = set(re.findall(r"\bmake ([a-z0-9]+)", readme))
    assert {"demo", "test"} <= named <= targets | {"and"}
    assert "@DEMO@" not in readme


@pytest.mark.parametrize("page", sorted(HANDBOOK.glob("*.md")) + [ROOT / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_handbook_has_at_least_a_dozen_pages_that_begin_with_a_title():
    pages = sorted(HANDBOOK.glob("*.md"))

    assert len(pages) >= 12
    assert all(page.read_text().startswith("# ") for page in pages)


def test_every_setting_is_in_the_handbook_with_its_default():
    text = (HANDBOOK / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \|", text, re.MULTILINE))
    known = {name: value for name, value, _ in load_effective({}).rows()}

    assert set(rows) == set(known)
    for name in ("model", "limits.concurrency", "call.total_s", "ingest.chunk_pieces", "pack.passages", "limits.body_bytes"):
        assert rows[name] == f"`{known[name]}`"


def _all(base: type) -> list[type]:
    return [kind for child in base.__subclasses__() for kind in (child, *_all(child))]


def test_every_error_has_its_heading_where_its_type_points():
    headings = set(re.findall(r"^## (\w+)$", (HANDBOOK / "errors.md").read_text(), re.MULTILINE))

    assert headings == {kind.code for kind in _all(errors.CitewellError)}


def test_every_refusal_code_is_explained():
    text = (HANDBOOK / "ingest-documents.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "ingest").rglob("*.py"))

    used = set(re.findall(r"DocumentRefused\(\s*\"(\w+)\"", source)) | set(re.findall(r"Refused\([^\"]*\"(\w+)\", f?\"", source))
    assert used
    for code in used:
        assert f"`{code}`" in text, code


def test_every_command_is_in_the_handbook():
    text = "".join(page.read_text() for page in HANDBOOK.glob("*.md"))

    for command in _ABOUT:
        assert f"citewell {command}" in text, command


def test_decisions_are_numbered_without_gaps():
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))

    assert numbers == list(range(1, len(numbers) + 1))


def test_every_dependency_has_its_line():
    import tomllib

    text = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    for dependency in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        assert f"| {re.match(r'[A-Za-z0-9-]+', dependency)[0]} |" in text, dependency  # type: ignore[index]


def test_compose_is_valid_and_fits_the_image():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    dockerfile = (ROOT / "Dockerfile").read_text()

    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(compose)
    assert {"api", "ingest", "migrate", "db", "redis"} == set(compose["services"])
    for name in ("api", "ingest", "migrate"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["command"][0] in _ABOUT
    assert re.search(r"^USER (?!0|root)", dockerfile, re.MULTILINE)
    assert "WORKDIR /srv" in dockerfile
    assert "--require-hashes -r requirements.lock" in dockerfile
    assert not re.search(r"PASSWORD: [^$]", (ROOT / "compose.yaml").read_text())


def test_the_project_names_no_path_of_one_machine_and_no_registry():
    if not TRACKED:
        pytest.skip("not a git checkout")
    words = ["/" + "work/", "pypi." + "org", "registry." + "npmjs", "files.python" + "hosted"]
    for name in TRACKED:
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png",):
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not [word for word in words if word in text], name
