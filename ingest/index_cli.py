"""``citewell index``."""

from pathlib import Path
from typing import Any

import click

from app.core import snapshot, terminal
from app.core.config import Settings
from app.core.embed import find_embedder
from app.core.errors import CitewellError, IndexMissing, IndexUnusable, Misconfigured
from ingest import records
from ingest.elsewhere import elsewhere
from ingest.gc import Collected, collect
from ingest.writing import writing

_COLLECTION = click.option("--collection", default="docs", show_default=True, help="The collection.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")


@click.group()
def index() -> None:
    """Look at indexes and check them, take a publication back, clean up, say whether access lists bind."""


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
    faults = _faults(root, collection)
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


@index.command(epilog="Example: citewell index rollback --collection docs")
@click.option("--to", "target", metavar="SNAPSHOT", help="Which; the one published before, when not given.")
@_COLLECTION
@_JSON
def rollback(target: str | None, collection: str, as_json: bool) -> None:
    """Publish an earlier snapshot again. Deleted documents stay deleted, and access lists stay as they are."""
    settings = terminal.settings()
    was, now = terminal.run(lambda: rolled_back(settings, collection, target))
    if as_json:
        terminal.print_json({"collection": collection, "was": was, "snapshot": now})
    else:
        click.echo(f"{collection}: {now} is published again, instead of {was}. A running server takes it up within two seconds.")


@index.command(epilog="Example: citewell index gc --collection docs")
@_COLLECTION
@_JSON
def gc(collection: str, as_json: bool) -> None:
    """Remove what no snapshot that is kept, no answer and no reader needs, and take deleted documents out of the files.

    Kept are the published snapshot, those published last (setting retain.snapshots), any published within retain.hours, and the
    texts that stored answers cite. An ingest does the same at its end.
    """
    settings = terminal.settings()

    def work() -> Collected:
        root = settings.indexes_dir
        with writing(settings, collection) as remote, records.opened(settings, collection) as books:
            snapshot.open_current(root, collection)
            copies = elsewhere(settings, collection, books, remote)
            return collect(root, collection, settings.retain, books, copies=copies)

    done: Collected = terminal.run(work)
    if as_json:
        terminal.print_json({"collection": collection, **done.as_json()})
        return
    click.echo(
        f"Removed {len(done.snapshots)} snapshot(s), {len(done.segments)} segment(s), {done.texts} text(s): {done.bytes / 1e6:.1f} MB. "
        f"{len(done.erased)} deleted document(s) are out of the files now."
    )


@index.command(epilog="Example: citewell index push --collection docs")
@_COLLECTION
@click.option("--again", is_flag=True, help="Put everything anew, also what seems to be there: it mends what is damaged there.")
@_JSON
def push(collection: str, again: bool, as_json: bool) -> None:
    """Put a collection's snapshots into the object storage that CITEWELL_INDEXES_URL names. An ingest does it by itself."""
    settings = terminal.settings()

    def work() -> str:
        _named(settings)
        with writing(settings, collection, mend=again) as remote:
            assert remote is not None
            return remote.renew(again=again)

    now = terminal.run(work)
    if as_json:
        terminal.print_json({"collection": collection, "snapshot": now, "url": settings.indexes_url})
    else:
        click.echo(f"{collection}: {now} is published at {settings.indexes_url}.")


@index.command(epilog="Example: citewell index pull --collection docs")
@_COLLECTION
@_JSON
def pull(collection: str, as_json: bool) -> None:
    """Fetch the published snapshot from object storage, once. A running server does it every few seconds."""
    settings = terminal.settings()
    now, size = terminal.run(lambda: pulled(_named(settings), settings.indexes_dir, collection))
    if as_json:
        terminal.print_json({"collection": collection, "snapshot": now, "bytes": size})
    else:
        click.echo(f"{collection}: {now} is here; {size / 1e6:.1f} MB were fetched.")


@index.command(epilog="Example: citewell index acl required --collection hr")
@click.argument("mode", type=click.Choice(["off", "required"]))
@_COLLECTION
@_JSON
def acl(mode: str, collection: str, as_json: bool) -> None:
    """Say whether access lists bind in a collection. With `required`, a document without a list is read by administrators alone."""
    settings = terminal.settings()

    def work() -> None:
        snapshot.folder_of(settings.indexes_dir, collection)
        with records.opened(settings, collection) as books:
            books.require(mode == "required")

    terminal.run(work)
    if as_json:
        terminal.print_json({"collection": collection, "acl": mode})
    else:
        click.echo(f"{collection}: access lists are {mode}. It holds at the next request.")


def _faults(root: Path, collection: str) -> list[str]:
    try:
        opened = snapshot.open_current(root, collection)
    except CitewellError as error:
        return [error.detail or error.message]
    faults = list(snapshot.verify(opened))
    built, ours = opened.manifest["embedder"], find_embedder(terminal.settings().embedder).identity.as_json()
    if built != ours:
        faults.append(f"it was built with the embedder `{built['name']}` ({built['weights'][:12]}), the settings name another")
    return faults


def _named(settings: Settings) -> str:
    if settings.indexes_url is None:
        raise Misconfigured("No object storage is named. Set CITEWELL_INDEXES_URL, such as s3://bucket/indexes.")
    return settings.indexes_url


def pulled(url: str, root: Path, collection: str) -> tuple[str, int]:
    """Fetch a collection's published snapshot; return its id, and how many bytes were fetched.

    Raises:
        Misconfigured: Somebody is writing the collection on this machine.
        IndexMissing: Nothing was ever pushed there.
        StorageUnavailable, IndexUnusable: It can't be read, or is damaged.
    """
    from app.core.snapshot import pull as pulling
    from app.core.snapshot.head import read_head
    from app.core.snapshot.store import Store

    snapshot.folder_of(root, collection)
    store = Store(url)
    head = read_head(store, collection)
    if head is None:
        raise IndexMissing(
            f"There is no collection `{collection}` at {url}. An ingest with CITEWELL_INDEXES_URL set puts it there."
        )
    with pulling.undisturbed(root, collection) as alone:
        if not alone:
            raise Misconfigured(f"An ingest into `{collection}` is running here, or a server is fetching it. Try again later.")
        return head.snapshot, pulling.pull(store, root, collection, head).bytes


def rolled_back(settings: Settings, collection: str, target: str | None) -> tuple[str, str]:
    """Publish an earlier snapshot again; return the ids of what was published and of what is now.

    Raises:
        IndexMissing: No earlier one is kept.
        IndexUnusable: It is damaged, or of another embedder: no server would take it up.
    """
    root = settings.indexes_dir
    with writing(settings, collection) as remote:
        current = snapshot.open_current(root, collection).snapshot_id
        earlier = [identity for identity, _ in snapshot.published(root, collection)]
        if target is None:
            before = earlier[: len(earlier) - 1 - earlier[::-1].index(current)] if current in earlier else earlier
            held = set(snapshot.stored(root, collection)) - {current}
            target = next((identity for identity in reversed(before) if identity in held), None)
        if target is None:
            raise IndexMissing(f"No earlier snapshot of `{collection}` is kept. `citewell index list` shows what is published.")
        opened = snapshot.open_snapshot(root, collection, target)
        for fault in snapshot.verify(opened):
            raise IndexUnusable(f"{target} is damaged: {fault}. Nothing was changed; name another with `--to`.")
        if opened.manifest["embedder"] != find_embedder(settings.embedder).identity.as_json():
            raise IndexUnusable(f"{target} was built with another embedder than CITEWELL_EMBEDDER names. Nothing was changed.")
        if remote is not None:
            remote.point(target)
        snapshot.publish(root, collection, target)
        return current, target


def _described(root: Path, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"collection": name, "snapshot": snapshot.current_id(root, name)}
    try:
        manifest = snapshot.open_current(root, name).manifest
    except CitewellError:
        return {**row, "documents": None, "chunks": None, "created": None, "state": "damaged"}
    return {**row, **manifest["counts"], "created": manifest["created"], "state": "ok"}
