"""``citewell ingest``."""

import click

from app.core import terminal
from app.core.errors import Misconfigured
from ingest.build import build
from ingest.engine import Name
from ingest.place import place
from ingest.report import Report

_COLLECTION = click.option("--collection", default="docs", show_default=True, help="The collection.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
_MOST_SHOWN = 20


_EXAMPLES = """Example: citewell ingest ~/wiki --collection wiki --exclude 'drafts/*'

\b
Or:
  citewell ingest 'docs/**/*.md' notes.pdf
  citewell ingest https://example.com/sitemap.xml --sync
  citewell ingest s3://bucket/handbook
"""


def _there(_: click.Context, __: click.Parameter, places: tuple[str, ...]) -> tuple[str, ...]:
    """A path that does not exist is wrong usage; whatever else is wrong with a place shows when it is opened."""
    for named in places:
        try:
            place(named)
        except Misconfigured as error:
            raise click.BadParameter(error.message) from None
    return places


@click.command(epilog=_EXAMPLES)
@click.argument("places", nargs=-1, required=True, metavar="PATH|URL|GLOB...", callback=_there)
@_COLLECTION
@click.option("--source", help="First part of files' URIs; the folder's name when not given.")
@click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Leave out files or pages by name, or by path below the folder or site."
)
@click.option("--sync", is_flag=True, help="Drop a source's documents that it holds no more.")
@click.option("--accept-shrinkage", is_flag=True, help="Publish although a source lost more than half of what it held.")
@click.option("--refused", is_flag=True, help="Read only what earlier runs refused (`citewell docs quarantine`).")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Who parses and embeds: this process, or a Ray cluster.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would change, and how long it would take.")
@_JSON
def ingest(
    places: tuple[str, ...],
    collection: str,
    source: str | None,
    exclude: tuple[str, ...],
    sync: bool,
    accept_shrinkage: bool,
    refused: bool,
    engine: Name,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Index documents and publish the result.

    PATH is a file, or a folder with all below it. URL is a page, or a sitemap with all pages that it names; or remote storage,
    such as s3://, with the extra `remote`. GLOB is a path with wildcards, in quotes, where ** stands for any folders.

    Markdown, HTML, plain text, PDF, Word, PowerPoint, Excel, EPUB, mail, notebooks, CSV and JSONL (one document a line: _id,
    title, text). Documents that can't be read are refused with a reason and never stop the rest; `citewell docs quarantine`
    lists them. Exits 0 whenever an index stands.
    """
    if source and len(places) > 1:
        raise click.UsageError("--source names one place's documents; give one PATH or URL with it.")
    if sync and refused:
        raise click.UsageError("--sync needs the whole source, and --refused reads a part of it.")
    settings = terminal.settings()
    with terminal.Bars() as bars:
        report: Report = terminal.run(
            lambda: build(
                *places,
                collection=collection,
                settings=settings,
                source=source,
                exclude=exclude,
                sync=sync,
                accept_shrinkage=accept_shrinkage,
                only_refused=refused,
                dry_run=dry_run,
                works=engine,
                progress=bars.advance,
            )
        )
    if as_json:
        terminal.print_json(report.as_json())
    else:
        click.echo(_summary(report))
    if report.snapshot is None and not dry_run:
        raise terminal.CliError(f"Nothing at {' '.join(places)} could be indexed. See the reasons above, or name another place.")


def _summary(report: Report) -> str:
    if report.dry_run:
        return "\n".join([_foreseen(report), *_left_out(report)])
    lines = [
        f"{report.added} added, {report.changed} changed, {report.unchanged} unchanged, {report.deleted} deleted, "
        f"{len(report.refused)} refused; {report.chunks} chunks ({report.embedded} embedded) in {report.seconds:.1f} s"
    ]
    lines += _left_out(report)
    if report.sync_held:
        lines.append(
            "--sync dropped nothing: something that could not be read may be one of the documents that seem gone. Mend it first."
        )
    if report.snapshot:
        state = "published; a running server takes it up within two seconds" if report.published else "already published"
        lines.append(f"{report.collection}: {report.snapshot} ({state})")
    return "\n".join(lines)


def _foreseen(report: Report) -> str:
    return (
        f"Would be {report.added} added, {report.changed} changed, {report.unchanged} unchanged, {report.deleted} deleted, "
        f"{len(report.refused)} refused; {report.embedded} of {report.chunks} chunks to embed, about {report.estimate_s or 0:.0f} s, "
        "0 dollars (the embedder runs here). Nothing was written."
    )


def _left_out(report: Report) -> list[str]:
    lines = []
    for refused in report.refused[:_MOST_SHOWN]:
        lines.append(f"  refused  {refused.source}  {refused.code}: {refused.message}")
    if len(report.refused) > _MOST_SHOWN:
        lines.append(f"  … and {len(report.refused) - _MOST_SHOWN} more; --json lists all")
    for skipped in report.skipped[:_MOST_SHOWN]:
        lines.append(f"  skipped  {skipped.source}  {skipped.rule}")
    if len(report.skipped) > _MOST_SHOWN:
        lines.append(f"  … and {len(report.skipped) - _MOST_SHOWN} more skipped")
    return lines
