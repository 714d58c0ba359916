"""Reading the truth: items, crops, vectors and labels out of a connection. Dialect-neutral, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, bindparam, exists, func, or_, select

from index.errors import ItemNotFound
from index.items import Box, Filter, Item, Vectors
from index.neighbours import Keys, Label, Matrix
from index.store.tables import crops, item_tags, items, ledger, vectors
from index.vectors import unpack

MANY = 500  # values in one IN list
AT_ONCE = 4096  # rows held in memory where a whole gallery is read
T = TypeVar("T")

# What every search asks. Made once: putting a statement together takes longer than SQLite takes to answer it.
ITEMS_OF = select(items).where(items.c.key.in_(bindparam("some", expanding=True)))
EMBEDDINGS_OF = select(vectors.c.key, vectors.c.embedding).where(
    vectors.c.key.in_(bindparam("some", expanding=True)), vectors.c.space_id == bindparam("space")
)


class Ledger(NamedTuple):
    """Where the truth stands. See `tables.ledger`."""

    epoch: str
    seq: int
    deleted_seq: int
    item_count: int


def read_ledger(connection: Connection) -> Ledger:
    """The numbers of the last change and the last removal, and how many items there are."""
    columns = (ledger.c.epoch, ledger.c.seq, ledger.c.deleted_seq, ledger.c.item_count)
    return Ledger(*connection.execute(select(*columns)).one())


def to_item(row: Mapping[str, Any] | RowMapping) -> Item:
    """A row of `items` as callers see it: without its key."""
    box = cast(Box, (row["x1"], row["y1"], row["x2"], row["y2"])) if row["x1"] is not None else None
    labels = (row["subject"], row["side"], tuple(row["tags"]))
    return Item(row["id"], row["seq"], *labels, row["source"], row["sha256"], row["created"], box)


def get(connection: Connection, item_id: str) -> tuple[int, Item]:
    """The key and the item; raises ItemNotFound."""
    row = connection.execute(select(items).where(items.c.id == item_id)).mappings().one_or_none()
    if row is None:
        raise ItemNotFound(item_id)
    return row["key"], to_item(row)


def get_many(connection: Connection, keys: Iterable[int]) -> dict[int, Item]:
    """Those items of `keys` that exist."""
    items_by_key: dict[int, Item] = {}
    for part in in_parts(sorted(set(keys))):
        for row in connection.execute(ITEMS_OF, {"some": part}).mappings():
            items_by_key[row["key"]] = to_item(row)
    return items_by_key


def keys_of(connection: Connection, item_ids: Sequence[str]) -> tuple[int, ...]:
    """The keys of those ids that exist."""
    keys: list[int] = []
    for part in in_parts(sorted(set(item_ids))):
        keys += connection.scalars(select(items.c.key).where(items.c.id.in_(part)))
    return tuple(keys)


def by_content(connection: Connection, hashes: Sequence[str]) -> dict[str, list[str]]:
    """Those content hashes that are known, and the ids of the items that have them."""
    ids_by_hash: dict[str, list[str]] = {}
    for part in in_parts(sorted(set(hashes))):
        query = select(items.c.sha256, items.c.id).where(items.c.sha256.in_(part)).order_by(items.c.key)
        for row in connection.execute(query):
            ids_by_hash.setdefault(row.sha256, []).append(row.id)
    return ids_by_hash


def crop(connection: Connection, item_id: str) -> bytes:
    """The stored crop file; raises ItemNotFound."""
    data = connection.scalar(select(crops.c.data).join(items, items.c.key == crops.c.key).where(items.c.id == item_id))
    if data is None:
        raise ItemNotFound(item_id)
    return bytes(data)


def page(connection: Connection, after: int, limit: int, filter: Filter) -> list[tuple[int, Item]]:
    """Up to `limit` items with a key above `after`, in the order of enrolment."""
    query = select(items).where(items.c.key > after, *conditions(filter)).order_by(items.c.key).limit(limit)
    return [(row["key"], to_item(row)) for row in connection.execute(query).mappings()]


def count(connection: Connection, filter: Filter) -> int:
    """How many items a filter admits."""
    if not filter:
        return read_ledger(connection).item_count
    return connection.scalar(select(func.count()).select_from(items).where(*conditions(filter))) or 0


def count_subjects(connection: Connection) -> int:
    """How many subjects have items."""
    return connection.scalar(select(func.count(items.c.subject.distinct()))) or 0


def count_by_subject(connection: Connection, subjects: Sequence[str]) -> dict[str, int]:
    """How many items each of these subjects has; subjects without items are left out."""
    counts: dict[str, int] = {}
    for part in in_parts(sorted(set(subjects))):
        query = select(items.c.subject, func.count()).where(items.c.subject.in_(part)).group_by(items.c.subject)
        counts |= {row[0]: row[1] for row in connection.execute(query)}
    return counts


def conditions(filter: Filter) -> list[ColumnElement[bool]]:
    """A filter in SQL: the same meaning as `neighbours.Selection.admits`."""
    clauses: list[ColumnElement[bool]] = []
    if filter.subjects:
        clauses.append(items.c.subject.in_(filter.subjects))
    if filter.sides:
        on_side = items.c.side.in_([side for side in filter.sides if side is not None])
        clauses.append(or_(on_side, items.c.side.is_(None)) if None in filter.sides else on_side)
    if filter.exclude_subjects:
        clauses.append(or_(items.c.subject.is_(None), items.c.subject.not_in(filter.exclude_subjects)))
    if filter.item_ids:
        clauses.append(items.c.id.in_(filter.item_ids))
    if filter.exclude_item_ids:
        clauses.append(items.c.id.not_in(filter.exclude_item_ids))
    for tag in filter.tags:
        clauses.append(exists().where(and_(item_tags.c.tag == tag, item_tags.c.key == items.c.key)))
    return clauses


def vectors_of(connection: Connection, item_id: str, space_id: str, dim: int) -> Vectors | None:
    """What one space says about one item; None where the item is not (yet) in that space. Raises ItemNotFound."""
    key, _ = get(connection, item_id)
    query = select(vectors.c.mu, vectors.c.embedding).where(vectors.c.key == key, vectors.c.space_id == space_id)
    row = connection.execute(query).one_or_none()
    return Vectors(unpack([row.mu], dim)[0], unpack([row.embedding], dim)[0]) if row else None


def count_vectors(connection: Connection, space_id: str) -> int:
    """How many items have a vector in a space."""
    return connection.scalar(select(func.count()).select_from(vectors).where(vectors.c.space_id == space_id)) or 0


def vector_keys(connection: Connection, space_id: str) -> Keys:
    """The keys of everything in a space."""
    query = select(vectors.c.key).where(vectors.c.space_id == space_id)
    return np.array(list(connection.scalars(query)), dtype=np.int64)


def labels(connection: Connection, space_id: str) -> Iterator[tuple[Keys, list[Label]]]:
    """The keys and labels of everything in a space, ascending by key, a part at a time."""
    query = (
        select(items.c.key, items.c.subject, items.c.side, items.c.tags)
        .join(vectors, and_(vectors.c.key == items.c.key, vectors.c.space_id == space_id))
        .order_by(items.c.key)
    )
    for part in connection.execute(query, execution_options={"yield_per": AT_ONCE}).partitions():
        keys = np.array([row.key for row in part], dtype=np.int64)
        yield keys, [Label(row.subject, row.side, tuple(row.tags)) for row in part]


def embeddings(connection: Connection, space_id: str, dim: int, keys: Sequence[int]) -> tuple[Keys, Matrix]:
    """Those of `keys` that are in a space, (N,) int64 in no order, and their stored embeddings (N, D)."""
    stored: list[Any] = []
    for part in in_parts(keys):
        stored += connection.execute(EMBEDDINGS_OF, {"some": part, "space": space_id}).all()
    present = np.array([row[0] for row in stored], dtype=np.int64)
    return present, unpack([row[1] for row in stored], dim)


def pairs(connection: Connection, space_id: str, dim: int, keys: Sequence[int]) -> tuple[Keys, Matrix, Matrix]:
    """Those of `keys` that are in a space, ascending: keys (N,), mu (N, D) and embeddings (N, D)."""
    stored: list[Any] = []
    for part in in_parts(sorted(keys)):
        chosen = (vectors.c.key.in_(part), vectors.c.space_id == space_id)
        query = select(vectors.c.key, vectors.c.mu, vectors.c.embedding).where(*chosen).order_by(vectors.c.key)
        stored += connection.execute(query).all()
    present = np.array([row[0] for row in stored], dtype=np.int64)
    return present, unpack([row[1] for row in stored], dim), unpack([row[2] for row in stored], dim)


def stream(connection: Connection, space_id: str, dim: int, after: int, limit: int) -> tuple[Keys, Matrix]:
    """The next `limit` keys above `after` in a space, ascending, and their stored embeddings (N, D)."""
    query = (
        select(vectors.c.key, vectors.c.embedding)
        .where(vectors.c.space_id == space_id, vectors.c.key > after)
        .order_by(vectors.c.key)
        .limit(limit)
    )
    stored = connection.execute(query).all()
    return np.array([row[0] for row in stored], dtype=np.int64), unpack([row[1] for row in stored], dim)


def in_parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Lists short enough for an IN."""
    for start in range(0, len(values), MANY):
        yield values[start : start + MANY]
