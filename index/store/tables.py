"""The tables of the truth, as SQLAlchemy Core describes them: the same on SQLite and PostgreSQL.

`migrations/` creates them; a test holds the two together. Vectors are little-endian float32 bytes.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite makes a 64-bit rowid only of the literal type INTEGER.
Key = BigInteger().with_variant(Integer(), "sqlite")

# One row. Every write takes its numbers here inside its own transaction: the row lock makes the order of sequence
# numbers the order of commits, so a reader that has seen number n has seen all before it.
ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", String(32), nullable=False),  # renewed by a restore: caches of the life before are foreign
    Column("seq", BigInteger, nullable=False),  # number of the last change
    Column("next_key", BigInteger, nullable=False),  # keys are never used twice
    Column("deleted_seq", BigInteger, nullable=False),  # number of the last change that removed something
    Column("item_count", BigInteger, nullable=False, server_default="0"),  # how many there are: counting rows is slow
)

spaces = Table(
    "spaces",
    metadata,
    Column("space_id", String(64), primary_key=True),
    Column("dim", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # active | staged | retained | retiring
    Column("created", String(32), nullable=False),
    Column("activated", String(32)),  # when it last became active
)

items = Table(
    "items",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("id", String(40), nullable=False, unique=True),
    Column("seq", BigInteger, nullable=False, index=True),
    Column("subject", String(256), index=True),
    Column("side", String(5), index=True),
    Column("tags", JSON, nullable=False),  # what is read; item_tags is what is searched
    Column("source", String(2048)),
    Column("sha256", String(64), nullable=False, index=True),
    Column("created", String(32), nullable=False),
    Column("x1", Float),
    Column("y1", Float),
    Column("x2", Float),
    Column("y2", Float),
)

item_tags = Table(
    "item_tags",
    metadata,
    Column("tag", String(256), primary_key=True),
    Column("key", Key, ForeignKey("items.key", ondelete="CASCADE"), primary_key=True, index=True),
)

crops = Table(
    "crops",
    metadata,
    Column("key", Key, ForeignKey("items.key", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

vectors = Table(
    "vectors",
    metadata,
    # `embedding` stands before `mu` because SQLite walks a long row from its start, and searching reads the embedding.
    Column("key", Key, ForeignKey("items.key", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("space_id", String(64), ForeignKey("spaces.space_id"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    Column("mu", LargeBinary, nullable=False),
    Index("ix_vectors_space_id_seq", "space_id", "seq"),
)

# What a caller fitted on the gallery's own labelled ears: thresholds and probabilities. Its content is not known here.
calibrations = Table(
    "calibrations",
    metadata,
    Column("space_id", String(64), ForeignKey("spaces.space_id", ondelete="CASCADE"), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("seq", BigInteger, nullable=False),  # the gallery's last change when it was fitted
    Column("created", String(32), nullable=False),
)

# The mean embedding of a space, as it was when it was last asked for.
means = Table(
    "means",
    metadata,
    Column("space_id", String(64), ForeignKey("spaces.space_id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("mean", LargeBinary, nullable=False),
)

# What was removed, by key only: nothing about the person stays.
tombstones = Table(
    "tombstones",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, index=True),
)

# Up to which change a set of neighbours outside this process has followed, by its name.
watermarks = Table(
    "watermarks",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
