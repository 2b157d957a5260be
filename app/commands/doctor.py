"""``citewell doctor``: every check, each failure with what mends it."""

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from app.core import snapshot, terminal
from app.core.config import Effective, Settings, load_effective
from app.core.db.engine import HEAD, open_engine, revision
from app.core.embed import find_embedder
from app.core.errors import CitewellError
from app.core.snapshot.layout import COLLECTION_NAME
from app.model import local
from app.model.prices import open_book
from app.prompt import load_prompt
from app.wiring import dense_side, needs_local_server, route_of

_LOW_DISK = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    ok: bool
    detail: str
    """What is there, or what is wrong and how to mend it."""


@click.command(epilog="Example: citewell doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
def doctor(as_json: bool) -> None:
    """Check everything, and print the settings in force with where each came from (secrets masked)."""
    effective: Effective = terminal.run(load_effective)
    findings = list(_checks(effective.settings))
    if as_json:
        terminal.print_json(
            {
                "checks": [{"name": f.name, "ok": f.ok, "detail": f.detail} for f in findings],
                "settings": [{"name": name, "value": value, "from": origin} for name, value, origin in effective.rows()],
            }
        )
    else:
        for finding in findings:
            click.secho(
                f"{'ok  ' if finding.ok else 'FAIL'} {finding.name:<10} {finding.detail}", fg=None if finding.ok else "red"
            )
        click.echo("\n" + terminal.table(["setting", "value", "from"], effective.rows()))
    failed = [finding.name for finding in findings if not finding.ok]
    if failed:
        raise terminal.CliError(f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}.")


def _checks(settings: Settings) -> Iterator[Finding]:
    checks: dict[str, Callable[[Settings], str]] = {
        "python": _python,
        "home": _home,
        "database": _database,
        "embedder": _embedder,
        **({"storage": _storage} if settings.indexes_url else {}),
        "indexes": _indexes,
        "prompts": _prompts,
        "model": _model,
        "price": _price,
    }
    for name, check in checks.items():
        try:
            yield Finding(name, True, check(settings))
        except CitewellError as error:
            yield Finding(name, False, error.message)
        except OSError as error:
            yield Finding(name, False, f"{error.strerror}: {error.filename}")


def _python(_: Settings) -> str:
    for package in ("app", "ingest", "evals"):
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None or Path(found.origin).parents[1] != Path(__file__).parents[2]:
            raise terminal_error(f"The package `{package}` is another project's. Use a virtual environment of its own.")
    return f"{sys.version.split()[0]}, citewell {importlib.metadata.version('citewell')}"


def _home(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    probe = settings.home / ".doctor"
    probe.write_text("")
    probe.unlink()
    free = shutil.disk_usage(settings.home).free
    if free < _LOW_DISK:
        raise terminal_error(f"{settings.home} has {free / 1e6:.0f} MB left. Free some, or set CITEWELL_HOME to another disk.")
    return f"{settings.home}, {free / 1e9:.0f} GB free"


def _database(settings: Settings) -> str:
    engine = open_engine(settings.database_url)
    try:
        found = revision(engine)
    finally:
        engine.dispose()
    if found not in (HEAD, None):
        raise terminal_error(f"It is at migration {found}, this version needs {HEAD}: run `citewell migrate`.")
    return f"{engine.url.get_backend_name()}, " + (
        f"migration {found}" if found else "empty: made at first use, or by `citewell migrate`"
    )


def _embedder(settings: Settings) -> str:
    identity = find_embedder(settings.embedder).identity
    return f"{identity.name}, {identity.dim} dimensions, reads {identity.max_pieces} word pieces"


def _storage(settings: Settings) -> str:
    from app.core.snapshot.head import read_head
    from app.core.snapshot.store import Store

    assert settings.indexes_url is not None
    store = Store(settings.indexes_url)
    heads = {name: read_head(store, name) for name in store.folders() if COLLECTION_NAME.fullmatch(name)}
    here = {name: snapshot.current_id(settings.indexes_dir, name) for name in heads}
    for name, head in heads.items():
        if head is not None and here[name] not in (None, head.snapshot):
            raise terminal_error(
                f"`{name}` is at {head.snapshot} there, and at {here[name]} here. A running server fetches it within seconds; "
                f"`citewell index pull --collection {name}` does it now."
            )
    found = [f"{name} at {head.snapshot}{'' if here[name] else ', not fetched yet'}" for name, head in heads.items() if head]
    return f"{store.url}: {'; '.join(found) or 'nothing was pushed there yet'}"


def _indexes(settings: Settings) -> str:
    names = snapshot.collections(settings.indexes_dir)
    if not names:
        raise terminal_error("There is no index yet. Build one with `citewell ingest PATH`.")
    identity, dense = find_embedder(settings.embedder).identity.as_json(), dense_side(settings)
    for name in names:
        opened = snapshot.open_current(settings.indexes_dir, name)
        if opened.manifest["embedder"] != identity:
            raise terminal_error(f"`{name}` was built with another embedder. Ingest it again, or set CITEWELL_EMBEDDER back.")
        for fault in snapshot.verify(opened):
            raise terminal_error(f"`{name}`: {fault}. Ingest its documents again.")
        dense.check(opened)
    return f"{', '.join(names)}: sound"


def _prompts(settings: Settings) -> str:
    found = load_prompt(settings.prompts_dir, "answer")
    return f"{found.ref} is stable, sha256 {found.sha256[:12]}"


def _model(settings: Settings) -> str:
    if settings.model == "smollm2":
        local.smollm2_file()
    if needs_local_server(settings):
        if importlib.util.find_spec("xllamacpp") is None:
            raise terminal_error("Models in GGUF files need the package `xllamacpp`: run `make smollm2`.")
        return f"{settings.model}, started on loopback by `serve` and `ask`"
    route = route_of(settings)
    return route.name + (f" at {route.base_url}" if route.base_url else "")


def _price(settings: Settings) -> str:
    name = f"citewell/{settings.model.partition(':')[0]}" if needs_local_server(settings) else route_of(settings).name
    price = open_book(settings).price(name)
    return f"{price.input:f} in, {price.output:f} out (dollars per million tokens), since {price.since}"


def terminal_error(message: str) -> CitewellError:
    """Return a failed check."""
    return CitewellError(message)
