"""``citewell migrate``: the database's schema."""

import click

from app.core import terminal
from app.core.db.engine import migrate as bring_up
from app.core.db.engine import open_engine


@click.command(epilog="Example: CITEWELL_DATABASE_URL=postgresql+psycopg://… citewell migrate")
def migrate() -> None:
    """Bring the database to this version. SQLite is migrated by `serve` too; PostgreSQL only by this command."""
    settings = terminal.settings()
    before, after = terminal.run(lambda: bring_up(open_engine(settings.database_url)))
    click.echo(
        f"Already at migration {after}." if before == after else f"Migrated from {before or 'an empty database'} to {after}."
    )
