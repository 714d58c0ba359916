"""Changing the truth inside a transaction that the caller opens: enrol, patch, delete.

Every change takes the next sequence number and every item a key of its own; both come from the ledger's one row.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from index.errors import ItemNotFound
from index.items import Item, NewItem, Side, Vectors
from index.neighbours import Matrix
from index.store import rows
from index.store.tables import crops, item_tags, items, ledger, tombstones, vectors
from index.vectors import pack


@dataclass(frozen=True)
class Columns:
    """Checked vectors of some new items in one space: places in the batch, mu and embeddings (N, D) float32."""

    rows: Sequence[int]
    mu: Matrix
    embeddings: Matrix

    def of(self, places: Sequence[int]) -> Columns:
        """Those of some of the items, numbered by their order in `places`."""
        number = {place: n for n, place in enumerate(places)}
        kept = [n for n, row in enumerate(self.rows) if row in number]
        return Columns([number[self.rows[n]] for n in kept], self.mu[kept], self.embeddings[kept])


@dataclass(frozen=True)
class Patch:
    """New labels of an item, all of them."""

    subject: str | None
    side: Side | None
    tags: tuple[str, ...]
    source: str | None

    def columns(self) -> dict[str, Any]:
        """The labels as columns of `items`."""
        return {"subject": self.subject, "side": self.side, "tags": list(self.tags), "source": self.source}


def take_numbers(connection: Connection, changes: int, keys: int = 0) -> tuple[int, int]:
    """Reserve numbers for `changes` changes and `keys` new items: the first sequence number and the first key."""
    taken = connection.execute(
        update(ledger)
        .values(seq=ledger.c.seq + changes, next_key=ledger.c.next_key + keys, item_count=ledger.c.item_count + keys)
        .returning(ledger.c.seq, ledger.c.next_key)
    ).one()
    return taken.seq - changes + 1, taken.next_key - keys


def enrol(
    connection: Connection,
    new: Sequence[NewItem],
    spaces: Mapping[str, Columns],
    restored: Sequence[Item] | None = None,
) -> list[tuple[int, Item]]:
    """Insert items with their crops and their vectors in every given space.

    restored: the items as they were before, in a restore: they keep their ids and the time of their enrolment.
    """
    if not new:
        return []
    seq, key = take_numbers(connection, len(new), len(new))
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows_of_items = [item_row(item, key + n, seq + n, created) for n, item in enumerate(new)]
    for row, was in zip(rows_of_items, restored or (), strict=restored is not None):
        row |= {"id": was.id, "created": was.created}
    connection.execute(insert(items), rows_of_items)
    connection.execute(insert(crops), [{"key": key + n, "data": item.crop} for n, item in enumerate(new)])
    insert_tags(connection, [(key + n, item.tags) for n, item in enumerate(new)])
    for space_id, columns in spaces.items():
        insert_vectors(connection, space_id, [(key + n, seq + n) for n in columns.rows], columns)
    return [(row["key"], rows.to_item(row)) for row in rows_of_items]


def put(connection: Connection, new: NewItem, spaces: Mapping[str, Columns]) -> tuple[int | None, tuple[int, Item]]:
    """Enrol an item under its own id, in the place of what had it, whose time of enrolment it keeps.

    Returns the key that is gone, if any, and (key, item).
    """
    take_numbers(connection, 0)  # the ledger's row is locked from here on: nobody else puts the same id meanwhile
    key, was = None, None
    with suppress(ItemNotFound):
        key, was = rows.get(connection, str(new.id))
        remove(connection, [key])
    (stored,) = enrol(connection, [new], spaces, None if was is None else [was])
    return key, stored


def find_duplicates(connection: Connection, new: Sequence[NewItem]) -> dict[int, str | int]:
    """Those of `new` whose content is enrolled already: place -> item id, or the place of the same content before."""
    enrolled = rows.by_content(connection, [item.content for item in new])
    duplicates: dict[int, str | int] = {}
    first: dict[str, int] = {}
    for n, item in enumerate(new):
        if item.content in enrolled:
            duplicates[n] = enrolled[item.content][0]
        elif first.setdefault(item.content, n) != n:
            duplicates[n] = first[item.content]
    return duplicates


def insert_vectors(
    connection: Connection, space_id: str, numbered: Sequence[tuple[int, int]], columns: Columns
) -> None:
    """Insert vectors for (key, sequence number) pairs."""
    values = [
        {"key": key, "space_id": space_id, "seq": seq, "embedding": pack(embedding), "mu": pack(mu)}
        for (key, seq), embedding, mu in zip(numbered, columns.embeddings, columns.mu, strict=True)
    ]
    if values:
        connection.execute(insert(vectors), values)


def relabel(connection: Connection, key: int, patch: Patch) -> tuple[int, Item]:
    """Give an item new labels; its picture and vectors stay. Returns its key and what it is now."""
    seq, _ = take_numbers(connection, 1)
    connection.execute(update(items).where(items.c.key == key).values(seq=seq, **patch.columns()))
    connection.execute(delete(item_tags).where(item_tags.c.key == key))
    insert_tags(connection, [(key, patch.tags)])
    return key, rows.get_many(connection, [key])[key]


def remake(connection: Connection, old: int, patch: Patch, spaces: Mapping[str, Vectors]) -> tuple[int, Item]:
    """Give an item new labels and new vectors under a new key: returns that key and what the item is now.

    A key's vector never changes, so that caches need no update in place. The item moves to the end of the list.
    """
    before = connection.execute(select(items).where(items.c.key == old)).mappings().one()
    crop = connection.scalars(select(crops.c.data).where(crops.c.key == old)).one()
    remove(connection, [old])
    seq, key = take_numbers(connection, 1, 1)
    row = dict(before) | patch.columns() | {"key": key, "seq": seq}
    connection.execute(insert(items), [row])
    connection.execute(insert(crops), [{"key": key, "data": crop}])
    insert_tags(connection, [(key, patch.tags)])
    for space_id, pair in spaces.items():
        insert_vectors(connection, space_id, [(key, seq)], Columns([0], pair.mu[None], pair.embedding[None]))
    return key, rows.to_item(row)


def remove(connection: Connection, keys: Sequence[int]) -> None:
    """Delete items with everything that hangs on them; only their keys are remembered."""
    if not keys:
        return
    seq, _ = take_numbers(connection, len(keys))
    for part in rows.in_parts(keys):
        connection.execute(delete(items).where(items.c.key.in_(part)))
    connection.execute(insert(tombstones), [{"key": key, "seq": seq + n} for n, key in enumerate(keys)])
    connection.execute(
        update(ledger).values(deleted_seq=seq + len(keys) - 1, item_count=ledger.c.item_count - len(keys))
    )


def keys_of_subject(connection: Connection, subject: str) -> list[int]:
    """The keys of everything enrolled under a subject."""
    return list(connection.scalars(select(items.c.key).where(items.c.subject == subject)))


def insert_tags(connection: Connection, tagged: Sequence[tuple[int, Sequence[str]]]) -> None:
    values = [{"key": key, "tag": tag} for key, tags in tagged for tag in sorted(set(tags))]
    if values:
        connection.execute(insert(item_tags), values)


def item_row(new: NewItem, key: int, seq: int, created: str) -> dict[str, Any]:
    x1, y1, x2, y2 = new.box or (None, None, None, None)
    return {
        "key": key,
        "id": new.id or f"ear_{secrets.token_hex(16)}",
        "seq": seq,
        "subject": new.subject,
        "side": new.side,
        "tags": list(new.tags),
        "source": new.source,
        "sha256": new.content,
        "created": created,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
    }
