"""Count items in the ledger, remember when a space became active, and find items by side without reading them all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("item_count", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE ledger SET item_count = (SELECT count(*) FROM items)")
    op.add_column("spaces", sa.Column("activated", sa.String(32)))
    op.execute("UPDATE spaces SET activated = created WHERE state = 'active'")
    op.create_index("ix_items_side", "items", ["side"])
