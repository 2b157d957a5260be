"""``citewell keys``: who may call."""

from datetime import datetime, timedelta
from typing import Any

import click

from app.core import terminal
from app.core.db import keys as queries
from app.core.db.engine import open_ledger, transaction
from app.core.db.tables import ApiKeyRow, now

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
_DEFAULT = ("answer", "search", "feedback", "documents")


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command(epilog="Example: citewell keys create --name website --scope answer --scope feedback")
@click.option("--name", default="", help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(queries.SCOPES),
    help=f"What it may do [default: {', '.join(_DEFAULT)}].",
)
@click.option("--principal", "principals", multiple=True, help="Whom it stands for, where documents are restricted.")
@click.option("--tenant", default="default", show_default=True, help="Who pays.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; never when not given.")
@_JSON
def create(name: str, scopes: tuple[str, ...], principals: tuple[str, ...], tenant: str, days: int | None, as_json: bool) -> None:
    """Make a key. It is shown once, here; only its hash is kept. From the first one on, every request needs a key."""
    expires = now() + timedelta(days=days) if days else None
    row, secret = terminal.run(lambda: _create(name, scopes or _DEFAULT, principals, tenant, expires))
    if as_json:
        terminal.print_json({"key": secret, **_shown(row)})
    else:
        click.echo(secret)
        click.echo(
            f"{row.id}: tenant {row.tenant}, scopes {', '.join(row.scopes)}. Keep it now: it is not shown again.", err=True
        )


@keys.command("list", epilog="Example: citewell keys list --json")
@_JSON
def list_(as_json: bool) -> None:
    """List all keys, revoked ones too; their secrets are not kept."""
    rows = [_shown(row) for row in terminal.run(_listed)]
    if as_json:
        terminal.print_json({"keys": rows})
        return
    head = ["id", "name", "tenant", "scopes", "state", "created_at"]
    click.echo(
        terminal.table(head, [[*(row[h] if h != "scopes" else ",".join(row[h]) for h in head)] for row in rows])
        if rows
        else "No key yet: on this machine the service is open to you alone. Make one with `citewell keys create`."
    )


@keys.command(epilog="Example: citewell keys revoke key_0123456789abcdef")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke a key, at once, in every worker. Revoking the last one does not open the service again."""
    if not terminal.run(lambda: _revoke(key_id)):
        raise terminal.CliError(f"There is no key {key_id}. `citewell keys list` shows them.")
    click.echo(f"{key_id} is revoked.")


def _create(
    name: str, scopes: tuple[str, ...], principals: tuple[str, ...], tenant: str, expires: datetime | None
) -> tuple[ApiKeyRow, str]:
    engine = open_ledger(terminal.settings())
    with transaction(engine) as session:
        return queries.create(session, tenant=tenant, name=name, scopes=scopes, principals=principals, expires_at=expires)


def _listed() -> list[ApiKeyRow]:
    engine = open_ledger(terminal.settings())
    with transaction(engine, reads=True) as session:
        return queries.listed(session)


def _revoke(key_id: str) -> bool:
    engine = open_ledger(terminal.settings())
    with transaction(engine) as session:
        return queries.revoke(session, key_id) is not None


def _shown(row: ApiKeyRow) -> dict[str, Any]:
    expired = row.expires_at is not None and row.expires_at <= now()
    return {
        "id": row.id,
        "name": row.name,
        "tenant": row.tenant,
        "scopes": row.scopes,
        "principals": row.principals,
        "state": "revoked" if row.revoked_at else "expired" if expired else "valid",
        "created_at": row.created_at.isoformat(timespec="seconds"),
        "expires_at": row.expires_at.isoformat(timespec="seconds") if row.expires_at else None,
    }
