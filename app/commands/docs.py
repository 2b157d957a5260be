"""``citewell docs``: what is indexed, who may read it, what was refused, and deleting that deletes."""

import sys
from contextlib import redirect_stdout
from typing import Any

import click
from sqlalchemy import Engine

from app import erase
from app.core import snapshot, terminal
from app.core.config import Settings
from app.core.db import access, collections, quarantine
from app.core.db.engine import open_ledger, transaction
from app.core.errors import CitewellError
from app.core.types import Document, document_id

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
_WHERE = click.option("--collection", help="The collection, where several have a document of that uri.")
_COLLECTION = click.option("--collection", default="docs", show_default=True, help="The collection.")


@click.group()
def docs() -> None:
    """See what is indexed, who may read it and what was refused; delete documents, and bring them back."""


@docs.command("list", epilog="Example: citewell docs list --collection docs --limit 20")
@_COLLECTION
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many.")
@click.option("--erased", is_flag=True, help="List the deleted ones instead, with their receipts.")
@_JSON
def list_(collection: str, limit: int, erased: bool, as_json: bool) -> None:
    """List the documents of the published snapshot, by uri."""
    settings = terminal.settings()
    rows = terminal.run(lambda: _erasures(settings, collection) if erased else _listed(settings, collection))
    if as_json:
        terminal.print_json({"documents": rows[:limit], "total": len(rows)})
        return
    if not rows:
        click.echo("None.")
        return
    head = ["document_id", "erased_at", "state"] if erased else ["document_id", "uri", "title", "chars"]
    click.echo(terminal.table(head, [[row[name] for name in head] for row in rows[:limit]]))
    if len(rows) > limit:
        click.echo(f"… and {len(rows) - limit:,} more; --limit shows them")


@docs.command(epilog="Example: citewell docs show docs/handbook/ask.md")
@click.argument("document")
@_WHERE
@_JSON
def show(document: str, collection: str | None, as_json: bool) -> None:
    """Show one document, named by its id or uri: where it comes from, who may read it, which snapshots hold it."""
    settings = terminal.settings()
    facts = terminal.run(lambda: _described(settings, document, collection))
    if as_json:
        terminal.print_json(facts)
    else:
        click.echo("\n".join(f"{name:<12} {_plain(value)}" for name, value in facts.items()))


@docs.command(epilog="Example: citewell docs delete doc_0123456789abcdef0123")
@click.argument("document")
@_WHERE
@_JSON
def delete(document: str, collection: str | None, as_json: bool) -> None:
    """Delete one document, named by its id or uri, and print the receipt.

    It is gone at once from every worker and under every snapshot, later ingests leave it out, and answers that used it lose
    their text; their cost stays in the books. The files are rewritten by `citewell index gc` or the next ingest.
    """
    settings = terminal.settings()
    receipt = terminal.run(lambda: erase.erase(settings, _engine(settings), erase.find(settings, document, collection)))
    if as_json:
        terminal.print_json(receipt)
        return
    removed, probe = receipt["removed"], receipt["probe"]
    click.echo(
        f"{receipt['document_id']} is deleted from `{receipt['collection']}`, under {len(receipt['snapshots'])} snapshot(s)."
    )
    click.echo(
        f"Blanked {removed['answers']} answer(s) and {removed['feedback']} rating(s); dropped {removed['cached_vectors']} cached "
        f"vector(s). {probe['searches']} searches for it found nothing of it."
    )
    click.echo(
        f"Receipt {receipt['id']}, {receipt['state']}: `citewell index gc --collection {receipt['collection']}` removes its files."
    )
    if receipt["unreadable_snapshots"]:
        click.echo(f"Damaged snapshots could not be looked into: {', '.join(receipt['unreadable_snapshots'])}.", err=True)


@docs.command(epilog="Example: citewell docs restore doc_0123456789abcdef0123")
@click.argument("document")
@_COLLECTION
@_JSON
def restore(document: str, collection: str, as_json: bool) -> None:
    """Lift the ban on a deleted document, named by its id or uri. The text of blanked answers does not come back."""
    settings = terminal.settings()
    identity = document if document.startswith("doc_") else document_id(collection, document)
    row, held = terminal.run(lambda: _restored(settings, collection, identity))
    if row is None:
        raise terminal.CliError(f"`{document}` is not deleted in `{collection}`. `citewell docs list --erased` shows what is.")
    if as_json:
        terminal.print_json({"document_id": identity, "collection": collection, "visible": held, "receipt": row})
    elif held:
        click.echo(f"{identity} is back: its text was still there.")
    else:
        click.echo(f"{identity} may come back: its text is gone, so ingest its source again.")


@docs.command(epilog="Example: citewell docs acl doc_0123456789abcdef0123 --allow staff --allow user:7")
@click.argument("document")
@_WHERE
@click.option(
    "--allow", "allowed", multiple=True, metavar="PRINCIPAL", help="Who may read it; `*` is everyone. Replaces the list."
)
@click.option("--nobody", is_flag=True, help="Nobody may read it but administrators.")
@click.option("--clear", is_flag=True, help="Take its list away.")
@_JSON
def acl(document: str, collection: str | None, allowed: tuple[str, ...], nobody: bool, clear: bool, as_json: bool) -> None:
    """Show or set who may read one document. It holds at the next request; nothing is embedded again.

    Lists bind once the collection requires them: `citewell index acl required`. A source that names a list sets it with each ingest.
    """
    if bool(allowed) + nobody + clear > 1:
        raise click.UsageError("--allow, --nobody and --clear exclude each other.")
    settings = terminal.settings()
    found = terminal.run(lambda: erase.find(settings, document, collection))
    change = bool(allowed) or nobody or clear
    wanted = None if clear else list(allowed)
    readers, required = terminal.run(lambda: _acl(settings, found, wanted, change=change))
    shown = None if readers is None else sorted(readers)
    if as_json:
        terminal.print_json({"document_id": found.document_id, "acl": shown, "required": required})
        return
    who = "no list" if shown is None else ", ".join(shown) or "nobody"
    click.echo(f"{found.document_id}: {who}")
    if not required:
        click.echo(
            f"Lists do not bind in `{found.collection}` until `citewell index acl required --collection {found.collection}`."
        )


@docs.command("quarantine", epilog="Example: citewell docs quarantine --retry")
@_COLLECTION
@click.option("--retry", is_flag=True, help="Read them again, and index what can be read now.")
@_JSON
@click.pass_context
def quarantined(ctx: click.Context, collection: str, retry: bool, as_json: bool) -> None:
    """List what the last ingests refused, and why."""
    settings = terminal.settings()
    if retry:
        again = ctx.find_root().command.get_command(ctx, "ingest")  # type: ignore[attr-defined]
        for source, target in sorted(
            {(row["source"], row["target"]) for row in terminal.run(lambda: _refused(settings, collection))}
        ):
            try:
                with redirect_stdout(sys.stderr if as_json else sys.stdout):
                    ctx.invoke(again, places=(target,), source=source, collection=collection, refused=True)
            except click.ClickException as error:  # a place that is gone keeps no other from being read
                click.echo(f"{target}: {error.message}", err=True)
    rows = terminal.run(lambda: _refused(settings, collection))
    if as_json:
        terminal.print_json({"collection": collection, "refused": rows})
    elif not rows:
        click.echo("Nothing is refused.")
    else:
        head = ["source", "place", "code", "message"]
        click.echo(terminal.table(head, [[row[name] for name in head] for row in rows]))


def _engine(settings: Settings) -> Engine:
    return open_ledger(settings)


def _listed(settings: Settings, collection: str) -> list[dict[str, Any]]:
    opened = snapshot.open_current(settings.indexes_dir, collection)
    with transaction(_engine(settings), reads=True) as session:
        gone = access.erased(session, collection)
    rows = [_row(document) for document in opened.documents() if document.document_id not in gone]
    return sorted(rows, key=lambda row: row["uri"])


def _row(document: Document) -> dict[str, Any]:
    names = ("document_id", "uri", "title", "revision", "chars")
    return {name: getattr(document, name) for name in names}


def _erasures(settings: Settings, collection: str) -> list[dict[str, Any]]:
    with transaction(_engine(settings), reads=True) as session:
        rows = access.erasures(session, collection)
    return [
        {
            "document_id": row.document_id,
            "erased_at": row.erased_at.isoformat(timespec="seconds"),
            "state": row.receipt.get("state", "masked"),
            "receipt": row.receipt,
        }
        for row in rows
    ]


def _described(settings: Settings, name: str, collection: str | None) -> dict[str, Any]:
    found = erase.find(settings, name, collection)
    with transaction(_engine(settings), reads=True) as session:
        gone = found.document_id in access.erased(session, found.collection)
        readers = access.readers(session, found.collection).get(found.document_id)
    if gone:
        raise CitewellError(f"`{name}` is deleted. `citewell docs list --erased` shows its receipt.")
    current = snapshot.current_id(settings.indexes_dir, found.collection)
    made = next((made for made in found.snapshots if made.snapshot_id == current), found.snapshots[-1])
    document, place = made.document(found.document_id), made.place(found.document_id)
    assert document is not None
    assert place is not None
    first, last = made.segments[place.segment].rows_of(place.line)
    return {
        "document_id": document.document_id,
        "collection": found.collection,
        "uri": document.uri,
        "title": document.title,
        "revision": document.revision,
        "chars": document.chars,
        "chunks": last - first,
        "metadata": document.metadata,
        "acl": None if readers is None else sorted(readers),
        "snapshots": [made.snapshot_id for made in found.snapshots],
        "published": any(made.snapshot_id == current for made in found.snapshots),
    }


def _restored(settings: Settings, collection: str, identity: str) -> tuple[dict[str, Any] | None, bool]:
    with transaction(_engine(settings)) as session:
        collections.add(session, collection, tenant="default")
        row = access.restore(session, collection, identity)
        receipt = row.receipt if row else None
    try:
        held = snapshot.open_current(settings.indexes_dir, collection).place(identity) is not None
    except CitewellError:
        held = False
    return receipt, held


def _acl(settings: Settings, found: erase.Found, wanted: list[str] | None, *, change: bool) -> tuple[frozenset[str] | None, bool]:
    with transaction(_engine(settings)) as session:
        collections.add(session, found.collection, tenant="default")
        if change:
            access.set_readers(session, found.collection, {found.document_id: wanted})
        standing = access.standing(session, found.collection)
        readers = access.readers(session, found.collection).get(found.document_id)
        return readers, bool(standing and standing.acl_required)


def _refused(settings: Settings, collection: str) -> list[dict[str, Any]]:
    with transaction(_engine(settings), reads=True) as session:
        return [
            {
                "source": row.source,
                "place": row.place,
                "target": row.target,
                "uri": row.uri,
                "code": row.code,
                "message": row.message,
                "first_seen": row.first_seen.isoformat(timespec="seconds"),
                "last_seen": row.last_seen.isoformat(timespec="seconds"),
            }
            for row in quarantine.listing(session, collection)
        ]


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
