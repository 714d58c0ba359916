"""The spaces of a gallery in the truth: which encoders' vectors it holds, which of them answers, what is still lacking.

Works inside a transaction that the caller opens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select, and_, delete, func, insert, select, update

from index.errors import BadVector, SpaceMismatch
from index.items import Item
from index.neighbours import Keys, Matrix
from index.store import rows
from index.store.changes import Columns, insert_vectors, take_numbers
from index.store.tables import calibrations, crops, items, means, spaces, vectors
from index.vectors import pack, unpack

State = Literal["active", "staged", "retained", "retiring"]


class Space(NamedTuple):
    """One encoder's vectors. `active` answers, `staged` is being filled, `retained` was active and can be again."""

    space_id: str
    dim: int
    state: State
    created: str
    activated: str | None


class Pending(NamedTuple):
    """An item that a space lacks: what is needed to embed it. `key` says later whether it is still the same picture."""

    key: int
    item: Item
    crop: bytes


def read_spaces(connection: Connection) -> dict[str, Space]:
    """Every space, the oldest first."""
    query = select(*(spaces.c[name] for name in Space._fields)).order_by(spaces.c.created, spaces.c.space_id)
    return {row.space_id: Space(*row) for row in connection.execute(query)}


def add_space(connection: Connection, space_id: str, dim: int, state: State) -> Space:
    """Make room for the vectors of one more encoder."""
    take_numbers(connection, 1)  # a change like any other, so that processes that share the truth learn of it
    space = Space(space_id, dim, state, now(), now() if state == "active" else None)
    connection.execute(insert(spaces), [space._asdict()])
    return space


def open_active(connection: Connection, space_id: str, dim: int) -> dict[str, Space]:
    """The spaces of a gallery opened with `space_id`; a new gallery takes it. Raises SpaceMismatch, BadVector."""
    present = read_spaces(connection) or {space_id: add_space(connection, space_id, dim, "active")}
    active = next(space for space in present.values() if space.state == "active")
    if active.space_id != space_id:
        raise SpaceMismatch(active.space_id, space_id, "promote the new model, or open the gallery with the old one")
    if active.dim != dim:
        raise BadVector(f"dim is {dim}, but this gallery holds vectors of {active.dim} numbers")
    return present


def set_state(connection: Connection, space_id: str, state: State) -> None:
    """Change a space's state; becoming active is remembered with its time."""
    take_numbers(connection, 1)
    when = {"activated": now()} if state == "active" else {}
    connection.execute(update(spaces).where(spaces.c.space_id == space_id).values(state=state, **when))


def lacking(space_id: str) -> Select[int]:
    """The keys of the items without a vector in a space."""
    joined = items.outerjoin(vectors, and_(vectors.c.key == items.c.key, vectors.c.space_id == space_id))
    return select(items.c.key).select_from(joined).where(vectors.c.key.is_(None))


def count_lacking(connection: Connection, space_id: str) -> int:
    """How many items have no vector in a space."""
    return connection.scalar(select(func.count()).select_from(lacking(space_id).subquery())) or 0


def pending(connection: Connection, space_id: str, after: int, limit: int) -> list[Pending]:
    """Up to `limit` items with a key above `after` that a space lacks, with their crops, ascending by key."""
    keys = list(connection.scalars(lacking(space_id).where(items.c.key > after).order_by(items.c.key).limit(limit)))
    items_by_key = rows.get_many(connection, keys)
    lacking_items: list[Pending] = []
    for part in rows.in_parts(keys):
        query = select(crops.c.key, crops.c.data).where(crops.c.key.in_(part)).order_by(crops.c.key)
        lacking_items += [Pending(row.key, items_by_key[row.key], bytes(row.data)) for row in connection.execute(query)]
    return lacking_items


def fill(connection: Connection, space_id: str, keys: Sequence[int], columns: Columns) -> list[tuple[int, Item]]:
    """Insert vectors for those keys that still exist and lack them; returns the (key, item) of each inserted one.

    `columns.rows` are places in `keys`.
    """
    items_by_key = rows.get_many(connection, keys)
    present = set(rows.embeddings(connection, space_id, columns.mu.shape[1], keys)[0].tolist())
    places = [n for n, place in enumerate(columns.rows) if keys[place] in items_by_key and keys[place] not in present]
    if not places:
        return []
    seq, _ = take_numbers(connection, len(places))
    chosen = Columns([columns.rows[n] for n in places], columns.mu[places], columns.embeddings[places])
    numbered = [(keys[place], seq + n) for n, place in enumerate(chosen.rows)]
    insert_vectors(connection, space_id, numbered, chosen)
    return [(key, items_by_key[key]) for key, _ in numbered]


def remove_vectors(connection: Connection, space_id: str, limit: int) -> int:
    """Delete up to `limit` vectors of a space; returns how many there were to delete."""
    keys = list(connection.scalars(select(vectors.c.key).where(vectors.c.space_id == space_id).limit(limit)))
    for part in rows.in_parts(keys):
        connection.execute(delete(vectors).where(vectors.c.space_id == space_id, vectors.c.key.in_(part)))
    return len(keys)


def remove_space(connection: Connection, space_id: str) -> None:
    """Forget a space that has no vectors any more."""
    connection.execute(delete(spaces).where(spaces.c.space_id == space_id))


class StoredCalibration(NamedTuple):
    """A calibration document of a space, and the gallery's change and time at which it was kept."""

    document: dict[str, Any]
    sequence: int
    created: str


class SpaceMean(NamedTuple):
    """The mean (D,) float32 of the embeddings of a space, over `items` of them, after change number `sequence`."""

    mean: Matrix
    items: int
    sequence: int


def read_calibration(connection: Connection, space_id: str) -> StoredCalibration | None:
    """A space's calibration; None where it has none."""
    columns = (calibrations.c.document, calibrations.c.seq, calibrations.c.created)
    row = connection.execute(select(*columns).where(calibrations.c.space_id == space_id)).one_or_none()
    return None if row is None else StoredCalibration(*row)


def write_calibration(connection: Connection, space_id: str, document: Mapping[str, Any] | None) -> None:
    """Keep a space's calibration in the place of the one before; None: keep none."""
    connection.execute(delete(calibrations).where(calibrations.c.space_id == space_id))
    if document is not None:
        sequence = rows.read_ledger(connection).seq
        values = {"space_id": space_id, "document": dict(document), "seq": sequence, "created": now()}
        connection.execute(insert(calibrations), [values])


def read_mean(connection: Connection, space_id: str, dim: int) -> SpaceMean | None:
    """The mean that was kept last; None where there is none."""
    query = select(means.c.mean, means.c["items"], means.c.seq).where(means.c.space_id == space_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else SpaceMean(unpack([row[0]], dim)[0], row[1], row[2])


def compute_mean(connection: Connection, space_id: str, dim: int) -> SpaceMean:
    """The mean as it is now; zeros for an empty space."""
    total, items, after = np.zeros(dim, dtype=np.float64), 0, -1
    while len((part := rows.stream(connection, space_id, dim, after, rows.AT_ONCE))[0]):
        after, items = int(part[0][-1]), items + len(part[0])
        total += part[1].sum(axis=0, dtype=np.float64)
    mean = np.asarray(total / max(1, items), dtype=np.float32)
    return SpaceMean(mean, items, rows.read_ledger(connection).seq)


def write_mean(connection: Connection, space_id: str, mean: SpaceMean) -> None:
    """Keep a mean in the place of the one before."""
    connection.execute(delete(means).where(means.c.space_id == space_id))
    values = {"space_id": space_id, "seq": mean.sequence, "items": mean.items, "mean": pack(mean.mean)}
    connection.execute(insert(means), [values])


def common_keys(connection: Connection, a: str, b: str) -> Keys:
    """The keys of the items that have vectors in both spaces, ascending."""
    other = vectors.alias()
    query = (
        select(vectors.c.key)
        .join(other, and_(other.c.key == vectors.c.key, other.c.space_id == b))
        .where(vectors.c.space_id == a)
        .order_by(vectors.c.key)
    )
    return np.array(list(connection.scalars(query)), dtype=np.int64)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
