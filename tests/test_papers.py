"""What the papers say must be so: every name, default, option, link and path in them is looked up in the code."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

import app.verify
from app.api.handbook import HANDBOOK as SERVED
from app.cli import _ABOUT
from app.core import errors, telemetry
from app.core.config import load_effective
from app.main import create_app

ROOT = Path(__file__).parents[1]
HANDBOOK = ROOT / "docs/handbook"
PAGES = sorted(HANDBOOK.glob("*.md"))
PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "prompts/README.md", ROOT / "indexes/README.md"])
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEFAULTS = {name: value for name, value, _ in load_effective({}).rows()}
OURS = ("api", "ingest", "migrate")


def each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def code_blocks(text: str) -> str:
    return "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def commands() -> dict[str, click.Command]:
    """Every command by what is typed for it: ``ledger show``."""
    found: dict[str, click.Command] = {}
    for point in entry_points(group="citewell.commands"):
        command = point.load()
        found[point.name] = command
        if isinstance(command, click.Group):
            found |= {f"{point.name} {name}": leaf for name, leaf in command.commands.items()}
    return found


COMMANDS = commands()


# ------------------------------------------------------------------------------------------ every paper


@each(PAPERS)
def test_links_lead_somewhere(page: Path):
    for target, anchor in re.findall(r"\]\(([^)#\s]+)(#[^)\s]*)?\)", page.read_text()):
        assert not target.startswith("/"), target
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.+)$", (page.parent / target).read_text(), re.MULTILINE)
                assert anchor[1:] in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, anchor


@each(PAPERS)
def test_make_targets_that_are_named_exist(page: Path):
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    text = page.read_text()
    named = set(re.findall(r"^make ([a-z0-9]+)", code_blocks(text), re.MULTILINE)) | set(re.findall(r"`make ([a-z0-9]+)", text))
    assert named <= targets


@each(PAPERS)
def test_commands_and_options_that_are_shown_exist(page: Path):
    text = page.read_text()
    shown = re.findall(r"`[^`\n]*?\bcitewell ([a-z][^`\n]*)`", text) + re.findall(
        r"^(?:[A-Z_]+=\S+ )*(?:.*/)?citewell ([a-z].*)$", code_blocks(text), re.MULTILINE
    )
    for line in shown:
        words = line.split("#")[0].split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
        if name == "backup" and "not there yet" in text:
            continue
        assert name in COMMANDS, line
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts} | {"--help"}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, line


@each(PAPERS)
def test_files_of_the_repository_that_are_named_exist(page: Path):
    for named in re.findall(r"`((?:app|ingest|evals|tests|docs|prompts|tools)/[\w./-]*)`", page.read_text()):
        assert (ROOT / named).exists(), named


def test_nothing_names_a_path_of_one_machine_or_the_host_of_a_registry():
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\0")[:-1]
    if not names:
        pytest.skip("not a git checkout")
    words = [
        "/" + "work/",
        "pypi." + "org",
        "python" + "hosted",
        "download." + "pytorch",
        "registry." + "npmjs",
        "ghcr." + "io",
        "quay." + "io",
    ]
    for name in names:
        path = ROOT / name
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not [word for word in words if word in text], name


# ------------------------------------------------------------------------------------------ README, decisions


def test_the_readme_shows_two_commands_and_what_the_demo_prints():
    readme = (ROOT / "README.md").read_text()

    first = code_blocks(readme).splitlines()[:2]
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]
    demo = re.findall(r'citewell ask "([^"]+)"', (ROOT / "Makefile").read_text())
    assert len(demo) == 2
    for question in demo:
        assert question in readme
    assert re.search(r"^answered: .*\brel_[0-9a-f]{16}\b", readme, re.MULTILINE)
    assert re.search(r"^abstained: ", readme, re.MULTILINE)
    for folder in ("app/", "ingest/", "evals/", "prompts/", "tests/", "docs/"):
        assert folder in readme


def test_decisions_are_numbered_without_gaps_and_say_what_they_govern():
    pages = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text()
        assert text.startswith(f"# {page.name[:4]} ")
        for part in ("Context", "Decision", "Alternatives", "Consequences", "Governs"):
            assert f"**{part}" in text, f"{page.name}: {part}"


def test_every_dependency_has_its_line_with_its_licence():
    text = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    rows = dict(re.findall(r"^\| ([\w-]+) \| ([^|]+) \|", text, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {re.match(r"[A-Za-z0-9-]+", d)[0] for d in project["project"]["dependencies"]}  # type: ignore[index]

    assert wanted <= set(rows)
    assert {name for name in rows if name not in ("package", "---")} >= wanted
    for group in project["dependency-groups"]["dev"]:
        assert re.match(r"[A-Za-z0-9-]+", group)[0] in text, group  # type: ignore[index]


def test_a_dependency_that_would_call_home_is_silenced(tmp_path: Path, cache_dir: Path):
    """Where CI is set onnxruntime is quiet by itself, so it is looked at as a user runs it, with a home folder of its own."""
    env = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    code = "import sys; from pathlib import Path; from app.core.embed import Embedder, find_embedder; Embedder(find_embedder('minilm'), cache_dir=Path(sys.argv[1]))(['x'])"
    subprocess.run(
        [sys.executable, "-c", code, str(cache_dir)], env={**env, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}, check=True
    )

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not left, "onnxruntime keeps a device id and a queue of telemetry: set ORT_DISABLE_TELEMETRY=1 before it is imported"
    assert "ORT_DISABLE_TELEMETRY=1" in DOCKERFILE


# ------------------------------------------------------------------------------------------ the handbook


def test_the_handbook_is_a_corpus_of_pages_that_begin_with_a_title():
    assert len(PAGES) >= 14
    assert SERVED == HANDBOOK
    for page in PAGES:
        text = page.read_text()
        assert text.startswith("# "), page.name
        assert len(re.findall(r"^# ", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)) == 1, (
            page.name
        )
        assert 250 <= len(text.split()) <= 1000, f"{page.name}: {len(text.split())} words"


def test_every_page_is_linked_from_another():
    linked = {target for page in PAGES for target in re.findall(r"\]\(([\w-]+\.md)", page.read_text()) if target != page.name}

    assert {page.name for page in PAGES} - linked - {"what-is-citewell.md"} == set()


def test_the_demo_question_has_its_sentence():
    text = " ".join((HANDBOOK / "ingest-documents.md").read_text().split())

    assert "at most two seconds to notice a new snapshot: it looks for one every second" in text


def test_every_setting_is_in_the_handbook_with_its_default():
    text = (HANDBOOK / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \|", text, re.MULTILINE))
    by_place = {"home", "database_url", "indexes_dir", "prompts_dir", "prices"}  # said in words: they depend on where it runs

    assert set(rows) == set(DEFAULTS)
    for name, value in DEFAULTS.items():
        if name not in by_place:
            assert rows[name] == ("none" if value in ("-", "()", "[]") else f"`{value}`"), name


@each(PAPERS)
def test_settings_that_are_named_exist(page: Path):
    text = page.read_text()
    sections = {name.split(".")[0] for name in DEFAULTS if "." in name}
    for named in re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_]+)`", text):
        assert named in DEFAULTS or (ROOT / named.replace(".", "/")).with_suffix(".py").exists(), named
    for variable in re.findall(r"\bCITEWELL_([A-Z][A-Z_]+[A-Z])\b", text):
        name = variable.lower().replace("__", ".")
        assert name in DEFAULTS or variable in ("CONFIG", "KEY"), variable


def _all(base: type[errors.CitewellError]) -> list[type[errors.CitewellError]]:
    return [kind for child in base.__subclasses__() for kind in (child, *_all(child))]


def test_every_error_has_its_heading_where_its_type_points_with_its_status():
    parts = re.split(r"^## (\w+)$", (HANDBOOK / "errors.md").read_text(), flags=re.MULTILINE)[1:]
    said = dict(zip(parts[::2], parts[1::2], strict=True))
    kinds = {kind.code: kind for kind in _all(errors.CitewellError) if "code" in vars(kind)} | {
        "internal_error": errors.InternalError
    }

    assert set(said) == set(kinds)
    assert len(parts) == 2 * len(said), "a heading stands twice"
    for code, text in said.items():
        if code not in ("misconfigured", "document_refused"):  # these two are no responses
            assert text.strip().startswith(f"Status {kinds[code].status}"), code
            assert ("worth trying again" in text.split(".")[0]) == kinds[code].retryable, code


def test_every_refusal_code_is_explained_and_no_other():
    text = (HANDBOOK / "refused-documents.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "ingest").rglob("*.py"))
    used = set(re.findall(r"DocumentRefused\(\s*\"(\w+)\"", source)) | set(re.findall(r"Refused\([^\"]*\"(\w+)\", f?\"", source))
    listed = set(re.findall(r"^- `(\w+)`: ", text, re.MULTILINE))

    assert used <= listed
    assert listed <= used | set(re.findall(r"``(\w+)``", errors.DocumentRefused.__doc__ or ""))


def test_every_warning_is_explained():
    source = "".join((ROOT / path).read_text() for path in ("app/guard/__init__.py", "app/answer.py"))
    used = set(re.findall(r"Warned\(\s*\"(\w+)\"", source)) | set(app.verify._MESSAGES)

    listed = re.findall(r"^- `(\w+)`: ", (HANDBOOK / "ask.md").read_text().partition("## Warnings")[2], re.MULTILINE)
    assert sorted(listed) == sorted(used)


def test_every_command_is_in_the_handbook():
    text = (HANDBOOK / "command-line.md").read_text()

    for command in _ABOUT:
        assert f"citewell {command}" in text, command
    for name, command in COMMANDS.items():
        if not isinstance(command, click.Group):
            (row,) = re.findall(rf"^\| `citewell {name}(?: [A-Z]+)?` \| (.*) \|$", text, re.MULTILINE)
            options = {opt for parameter in command.params for opt in parameter.opts if opt.startswith("--")}
            assert set(re.findall(r"`(--[a-z-]+)`", row)) == options, name


def test_every_route_is_in_the_handbook():
    text = (HANDBOOK / "http-api.md").read_text()

    for path, item in create_app().openapi()["paths"].items():
        short = re.sub(r"\{\w+\}", "{id}", path)
        for method in item:
            assert f"| `{method.upper()} {short}` |" in text, f"{method} {short}"


def test_metrics_that_are_named_exist_and_all_are_named():
    text = (HANDBOOK / "operations.md").read_text()
    known = set()
    for metric in vars(telemetry).values():
        for family in metric.describe() if hasattr(metric, "describe") and hasattr(metric, "_name") else ():
            known.add(family.name + ("_total" if family.type == "counter" else ""))

    named = {
        name
        for page in PAPERS
        for name in re.findall(r"\b(citewell_[a-z_]+)\b", page.read_text())
        if name.startswith("citewell_")
    }
    assert known
    assert named - {"citewell_home"} <= known
    assert known - {"citewell_guardrail_total"} <= set(re.findall(r"\bcitewell_[a-z_]+\b", text))


# ------------------------------------------------------------------------------------------ containers


def _compose_schema() -> dict[str, Any]:
    """The Compose specification's own schema: it comes with the package check-jsonschema."""
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None
    assert spec.origin is not None, "make setup installs check-jsonschema, which carries it"
    schema: dict[str, Any] = json.loads((Path(spec.origin).parent / "builtin_schemas/vendor/compose-spec.json").read_text())
    return schema


def test_compose_is_what_the_specification_allows():
    schema = _compose_schema()
    validator = jsonschema.Draft7Validator(schema)

    validator.validate(COMPOSE)
    wrong = {"services": {"api": {"image": "citewell", "ports": 8000}}}
    assert not validator.is_valid(wrong)


def test_compose_runs_each_job_of_the_image_closed_and_in_order():
    services = COMPOSE["services"]

    assert set(services) == {"api", "ingest", "migrate", "db", "redis"}
    for name in OURS:
        command = services[name]["command"]
        assert command[0] in _ABOUT
        known = {option for parameter in COMMANDS[command[0]].params for option in parameter.opts}
        assert {word for word in command if word.startswith("--")} <= known
        assert services[name]["image"] == "citewell"
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["user"].split(":")[0] not in ("0", "root"), name
        assert "privileged" not in service, name
    assert services["api"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"]["db"]["condition"] == "service_healthy"
    assert all("healthcheck" in services[name] for name in ("api", "db", "redis"))
    assert services["redis"]["profiles"], "nothing uses it yet: it must not start by itself"
    assert services["ingest"]["profiles"], "a job, no service"
    assert (
        {volume.split(":")[0] for name in OURS for volume in services[name]["volumes"]}
        >= {"home", "indexes"}
        <= set(COMPOSE["volumes"])
    )


def test_compose_and_image_agree_on_user_port_and_folders():
    (user,) = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    (port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    api = COMPOSE["services"]["api"]
    folders = dict(re.findall(r"(CITEWELL_\w+)=(\S+)", DOCKERFILE))

    assert all(COMPOSE["services"][name]["user"] == user for name in OURS)
    assert f"useradd --uid {user.split(':')[0]}" in DOCKERFILE
    assert [published.rpartition(":")[2] for published in api["ports"]] == [port]
    assert api["command"][api["command"].index("--port") + 1] == port
    assert f":{port}/readyz" in " ".join(api["healthcheck"]["test"])
    mounted = {volume.split(":")[1] for name in OURS for volume in COMPOSE["services"][name]["volumes"]}
    assert {folders["CITEWELL_HOME"], folders["CITEWELL_INDEXES_DIR"]} <= mounted
    assert all(name.removeprefix("CITEWELL_").lower() in DEFAULTS for name in {*folders, *api["environment"]})


def test_no_secret_stands_in_compose_and_a_missing_one_is_named():
    text = (ROOT / "compose.yaml").read_text()

    assert "${POSTGRES_PASSWORD:?" in text
    for name, value in (
        (name, value) for service in COMPOSE["services"].values() for name, value in service.get("environment", {}).items()
    ):
        if re.search(r"PASSWORD|KEY|SECRET|TOKEN", name):
            assert re.fullmatch(r"\$\{\w+(:\?.+|:-)\}", value), name


def test_the_image_is_built_from_the_lock_and_not_run_as_root():
    makefile = (ROOT / "Makefile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]

    assert "--no-deps --require-hashes -r requirements.lock" in DOCKERFILE
    assert "HF_HUB_OFFLINE=1" in DOCKERFILE
    assert re.search(r"^WORKDIR /srv$", DOCKERFILE, re.MULTILINE)
    for name in ("TORCH_VERSION", "UV_VERSION"):
        (version,) = re.findall(rf"^{name} := (\S+)$", makefile, re.MULTILINE)
        assert f"{name.split('_')[0].lower()}=={version}" in DOCKERFILE
    assert "torch" not in DOCKERFILE.split("FROM")[2], "the last stage installs nothing"
    assert ignored[0] == "*"
    assert {f"!{name}" for name in copied} <= set(ignored)
    assert all((ROOT / name).exists() for name in copied)
