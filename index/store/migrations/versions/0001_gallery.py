"""The gallery: ledger, spaces, items with tags and crops, vectors, tombstones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("next_key", sa.BigInteger, nullable=False),
        sa.Column("deleted_seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "spaces",
        sa.Column("space_id", sa.String(64), primary_key=True),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
    )
    create_items()
    create_contents()


def create_items() -> None:
    op.create_table(
        "items",
        sa.Column("key", Key, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(40), nullable=False, unique=True),
        sa.Column("seq", sa.BigInteger, nullable=False, index=True),
        sa.Column("subject", sa.String(256), index=True),
        sa.Column("side", sa.String(5)),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("source", sa.String(2048)),
        sa.Column("sha256", sa.String(64), nullable=False, index=True),
        sa.Column("created", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Float) for name in ("x1", "y1", "x2", "y2")),
    )
    op.create_table(
        "item_tags",
        sa.Column("tag", sa.String(256), primary_key=True),
        sa.Column("key", Key, sa.ForeignKey("items.key", ondelete="CASCADE"), primary_key=True, index=True),
    )


def create_contents() -> None:
    op.create_table(
        "crops",
        sa.Column("key", Key, sa.ForeignKey("items.key", ondelete="CASCADE"), primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "vectors",
        sa.Column("key", Key, sa.ForeignKey("items.key", ondelete="CASCADE"), primary_key=True, autoincrement=False),
        sa.Column("space_id", sa.String(64), sa.ForeignKey("spaces.space_id"), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("embedding", sa.LargeBinary, nullable=False),
        sa.Column("mu", sa.LargeBinary, nullable=False),
        sa.Index("ix_vectors_space_id_seq", "space_id", "seq"),
    )
    op.create_table(
        "tombstones",
        sa.Column("key", Key, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False, index=True),
    )
