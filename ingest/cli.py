"""``citewell ingest`` and ``citewell index``."""

from pathlib import Path
from typing import Any

import click

from app.core import snapshot, terminal
from app.core.errors import CitewellError
from ingest.build import Report, build

_COLLECTION = click.option("--collection", default="docs", show_default=True, help="The collection.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
_MOST_SHOWN = 20


@click.command(epilog="Example: citewell ingest ~/wiki --collection wiki --exclude 'drafts/*'")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@_COLLECTION
@click.option("--source", help="First part of the documents' URIs; the folder's name when not given.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out files by name, or by path below the folder.")
@click.option("--sync", is_flag=True, help="Drop this source's documents that it holds no more.")
@_JSON
def ingest(path: Path, collection: str, source: str | None, exclude: tuple[str, ...], sync: bool, as_json: bool) -> None:
    """Index the documents at PATH (a file, or a folder with all below it) and publish the result.

    Markdown, HTML, plain text, PDF and JSONL (one document a line: _id, title, text). Documents that can't be read are refused
    with a reason and never stop the rest. Exits 0 whenever an index stands.
    """
    settings = terminal.settings()
    with terminal.Bars() as bars:
        report: Report = terminal.run(
            lambda: build(
                path, collection=collection, settings=settings, source=source, exclude=exclude, sync=sync, progress=bars.advance
            )
        )
    if as_json:
        terminal.print_json(report.as_json())
    else:
        click.echo(_summary(report))
    if report.snapshot is None:
        raise terminal.CliError(f"Nothing at {path} could be indexed. See the reasons above, or name another path.")


@click.group()
def index() -> None:
    """Look at indexes, and check them."""


@index.command("list", epilog="Example: citewell index list --json")
@_JSON
def list_(as_json: bool) -> None:
    """List the collections and what is published of each."""
    root = terminal.settings().indexes_dir
    rows = [_described(root, name) for name in snapshot.collections(root)]
    if as_json:
        terminal.print_json({"collections": rows})
    elif not rows:
        click.echo("No collection yet. Make one with `citewell ingest PATH`.")
    else:
        head = ["collection", "snapshot", "documents", "chunks", "created", "state"]
        click.echo(terminal.table(head, [[row[name] for name in head] for row in rows]))


@index.command(epilog="Example: citewell index show --collection docs")
@_COLLECTION
@_JSON
def show(collection: str, as_json: bool) -> None:
    """Show the published snapshot's manifest."""
    opened = terminal.run(lambda: snapshot.open_current(terminal.settings().indexes_dir, collection))
    if as_json:
        terminal.print_json(dict(opened.manifest))
        return
    manifest = opened.manifest
    embedder, chunker = manifest["embedder"], manifest["chunker"]
    facts = {
        "snapshot": opened.snapshot_id,
        "created": manifest["created"],
        "documents": manifest["counts"]["documents"],
        "chunks": manifest["counts"]["chunks"],
        "embedder": f"{embedder['name']} ({embedder['dim']} dimensions, weights {embedder['weights'][:12]})",
        "chunker": f"{chunker['name']}, at most {chunker['pieces']} word pieces",
        "sources": ", ".join(f"{name} = {root}" for name, root in manifest["sources"].items()),
    }
    click.echo("\n".join(f"{name:<10} {value}" for name, value in facts.items()))


@index.command(epilog="Example: citewell index verify --collection docs")
@_COLLECTION
@_JSON
def verify(collection: str, as_json: bool) -> None:
    """Compare every file of the published snapshot with its hash, and its content with itself."""
    root = terminal.settings().indexes_dir
    terminal.run(lambda: snapshot.folder_of(root, collection))
    faults: list[str] = []
    try:
        faults = list(snapshot.verify(snapshot.open_current(root, collection)))
    except CitewellError as error:
        faults = [error.detail or error.message]
    if as_json:
        terminal.print_json({"collection": collection, "snapshot": snapshot.current_id(root, collection), "faults": faults})
    else:
        for fault in faults:
            click.echo(fault)
    if faults:
        raise terminal.CliError(
            f"The index of `{collection}` has {len(faults)} fault(s). "
            f"Ingest its documents again: `citewell ingest PATH --collection {collection}`."
        )
    if not as_json:
        click.echo(f"{snapshot.current_id(root, collection)}: sound.")


def _summary(report: Report) -> str:
    lines = [
        f"{report.added} added, {report.changed} changed, {report.unchanged} unchanged, {report.deleted} deleted, "
        f"{len(report.refused)} refused; {report.chunks} chunks ({report.embedded} embedded) in {report.seconds:.1f} s"
    ]
    for refused in report.refused[:_MOST_SHOWN]:
        lines.append(f"  refused  {refused.source}  {refused.code}: {refused.message}")
    if len(report.refused) > _MOST_SHOWN:
        lines.append(f"  … and {len(report.refused) - _MOST_SHOWN} more; --json lists all")
    for skipped in report.skipped[:_MOST_SHOWN]:
        lines.append(f"  skipped  {skipped.source}  {skipped.rule}")
    if len(report.skipped) > _MOST_SHOWN:
        lines.append(f"  … and {len(report.skipped) - _MOST_SHOWN} more skipped")
    if report.sync_held:
        lines.append(
            "--sync dropped nothing: something that could not be read may be one of the documents that seem gone. Mend it first."
        )
    if report.snapshot:
        state = "published; a running server takes it up within two seconds" if report.published else "already published"
        lines.append(f"{report.collection}: {report.snapshot} ({state})")
    return "\n".join(lines)


def _described(root: Path, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"collection": name, "snapshot": snapshot.current_id(root, name)}
    try:
        manifest = snapshot.open_current(root, name).manifest
    except CitewellError:
        return {**row, "documents": None, "chunks": None, "created": None, "state": "damaged"}
    return {**row, **manifest["counts"], "created": manifest["created"], "state": "ok"}
