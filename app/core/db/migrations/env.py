"""Alembic's entry: runs the migrations on the engine that ``engine.migrate`` hands over."""

from alembic import context

from app.core.db.tables import METADATA

engine = context.config.attributes["engine"]

with engine.connect() as connection:
    # Batch mode: SQLite can't alter a column in place.
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
