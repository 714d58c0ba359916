"""Alembic's entry: runs the migrations on the connection that `index.store.schema` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from index.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
)
with context.begin_transaction():
    context.run_migrations()
