"""Keep a calibration and a mean embedding per space, and every name in Unicode's composed form (NFC)."""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BATCH = 500
items = sa.table(
    "items", *(sa.column(name) for name in ("key", "seq", "subject", "source")), sa.column("tags", sa.JSON)
)
item_tags = sa.table("item_tags", sa.column("key"), sa.column("tag"))
ledger = sa.table("ledger", sa.column("seq"))


def upgrade() -> None:
    op.create_table(
        "calibrations",
        sa.Column("space_id", sa.String(64), of_space(), primary_key=True),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
    )
    op.create_table(
        "means",
        sa.Column("space_id", sa.String(64), of_space(), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("items", sa.BigInteger, nullable=False),
        sa.Column("mean", sa.LargeBinary, nullable=False),
    )
    compose_names(op.get_bind())


def of_space() -> sa.ForeignKey:
    return sa.ForeignKey("spaces.space_id", ondelete="CASCADE")


def compose_names(connection: sa.Connection) -> None:
    """Rewrite names that are stored in another form: a search or an erasure by the composed one would miss them."""
    after = -1
    while rows := connection.execute(
        sa.select(items).where(items.c.key > after).order_by(items.c.key).limit(BATCH)
    ).all():
        after = rows[-1].key
        for row in rows:
            subject, source, tags = optional(row.subject), optional(row.source), [composed(tag) for tag in row.tags]
            if (subject, source, tags) != (row.subject, row.source, row.tags):
                rewrite(connection, row.key, subject, source, tags)


def rewrite(connection: sa.Connection, key: int, subject: str | None, source: str | None, tags: list[str]) -> None:
    connection.execute(sa.update(ledger).values(seq=ledger.c.seq + 1))
    seq = connection.execute(sa.select(ledger.c.seq)).scalar_one()
    tags = list(dict.fromkeys(tags))
    values = {"seq": seq, "subject": subject, "source": source, "tags": tags}
    connection.execute(sa.update(items).where(items.c.key == key).values(values))
    connection.execute(sa.delete(item_tags).where(item_tags.c.key == key))
    for tag in tags:
        connection.execute(sa.insert(item_tags).values(key=key, tag=tag))


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip() or text


def optional(text: str | None) -> str | None:
    return None if text is None else composed(text)
