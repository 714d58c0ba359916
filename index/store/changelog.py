"""What changed in the truth after a sequence number, as neighbours must learn it. Replaying it twice is harmless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, select

from index.neighbours import Entries, Label, Neighbours
from index.store import rows
from index.store.tables import items, tombstones, vectors


@dataclass(frozen=True)
class Tail:
    """Keys that went, vectors that came, labels that changed."""

    removed: list[int]
    added: Entries
    relabelled: list[tuple[int, Label]]

    def apply(self, neighbours: Neighbours) -> None:
        """Let neighbours learn it."""
        if self.removed:
            neighbours.remove(self.removed)
        if len(self.added):
            neighbours.put(self.added)
        for key, label in self.relabelled:
            neighbours.relabel(key, label)


def read_tail(connection: Connection, space_id: str, dim: int, after: int, until: int) -> Tail:
    """The changes of a space that are numbered above `after`, up to `until`."""

    def inside(seq: Column[Any]) -> ColumnElement[bool]:
        return seq.between(after + 1, until)

    removed = list(connection.scalars(select(tombstones.c.key).where(inside(tombstones.c.seq))))
    came = select(vectors.c.key).where(vectors.c.space_id == space_id, inside(vectors.c.seq))
    keys, matrix = rows.embeddings(connection, space_id, dim, list(connection.scalars(came)))
    changed = select(items.c.key, items.c.subject, items.c.side, items.c.tags).where(inside(items.c.seq))
    labels = {row.key: Label(row.subject, row.side, tuple(row.tags)) for row in connection.execute(changed)}
    added = keys.tolist()
    relabelled = [(key, label) for key, label in labels.items() if key not in set(added)]
    return Tail(removed, Entries(keys, labels_of(connection, added, labels), matrix), relabelled)


def labels_of(connection: Connection, keys: list[int], labels: dict[int, Label]) -> list[Label]:
    """The labels of keys, read where they are not known: an item can get vectors without having changed itself."""
    missing = rows.get_many(connection, [key for key in keys if key not in labels])
    read = {key: Label(item.subject, item.side, item.tags) for key, item in missing.items()}
    return [labels.get(key) or read[key] for key in keys]
