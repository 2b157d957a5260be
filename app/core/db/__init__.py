"""The database: tables, engine, migrations, and query functions that take a session and never commit.

Read in this order: tables, engine, writer, ledger, keys, collections.
"""
