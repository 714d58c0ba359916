"""Bringing a database to the newest schema with Alembic, and the first row of the ledger."""

from __future__ import annotations

import secrets
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select

from index.errors import GalleryCorrupt
from index.store.tables import ledger

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, target: str = "head") -> None:
    """Create or upgrade every table inside the caller's transaction. Raises GalleryCorrupt for a newer schema."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    revisions = [script.revision for script in scripts.walk_revisions()]
    if current is not None and current not in revisions:
        raise GalleryCorrupt(
            f"the gallery's schema is {current!r}, which this version does not know (newest: {revisions[0]!r}): "
            "open it with the newer ear-teacher that wrote it"
        )
    if current != (scripts.get_current_head() if target == "head" else target):
        command.upgrade(config, target)


def begin_ledger(connection: Connection) -> None:
    """Write the ledger's row where there is none."""
    if connection.execute(select(ledger.c.id)).first() is None:
        values = {"id": 1, "epoch": secrets.token_hex(16), "seq": 0, "next_key": 1, "deleted_seq": 0}
        connection.execute(insert(ledger), [values])
