"""Making a gallery from an archive that `archive.py` wrote: whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sqlalchemy import Connection

from common.durable_files import rename
from index.enrolment import column
from index.errors import BackupRefused
from index.items import Item, NewItem, Vectors
from index.store import changes
from index.store.active_space import DATABASE
from index.store.lock import FolderLock
from index.store.schema import begin_ledger, migrate
from index.store.space_rows import add_space, write_calibration
from index.store.sqlite import SqliteTruth
from index.tools.archive import BATCH, FORMAT, ITEMS, MANIFEST, VECTORS

NOTHING = np.zeros(0, dtype=np.float32)


def restore(source: Path, gallery: Path) -> int:
    """Make the folder `gallery` from an archive; returns how many items. Raises BackupRefused.

    Ids, times and the vectors of every space are as they were; sequence numbers begin anew.
    """
    facts = read_manifest(source)
    if (gallery / DATABASE).exists():
        raise BackupRefused(f"{gallery} already holds a gallery: give another folder, or move that one away")
    gallery.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FolderLock(gallery)
    working = gallery / f"{DATABASE}.restoring"
    try:
        for leftover in gallery.glob(f"{DATABASE}*"):
            leftover.unlink()
        count = fill(working, source, facts)
        rename(working, gallery / DATABASE)
    finally:
        for leftover in gallery.glob(f"{working.name}*"):
            leftover.unlink()
        lock.release()
    return count


def fill(database: Path, source: Path, facts: dict[str, Any]) -> int:
    """Write everything into a new database; returns how many items."""
    truth, count = SqliteTruth(database), 0
    try:
        with truth.write() as connection:
            migrate(connection)
            begin_ledger(connection)
            for space_id, dim in facts["spaces"].items():
                add_space(connection, space_id, dim, "active" if space_id == facts["active"] else "staged")
            for space_id, document in facts.get("calibrations", {}).items():
                write_calibration(connection, space_id, document)
        vectors = {space_id: VectorFile(source, space_id) for space_id in facts["spaces"]}
        for batch in item_batches(source):
            with truth.write() as connection:
                count += enrol(connection, source, batch, vectors, facts["spaces"])
    finally:
        truth.close()
    if count != facts["items"]:
        raise BackupRefused(f"{source} holds {count} items where {MANIFEST} says {facts['items']}: it is damaged")
    return count


def enrol(
    connection: Connection,
    source: Path,
    batch: list[tuple[Item, str]],
    vectors: dict[str, VectorFile],
    dims: dict[str, int],
) -> int:
    """Insert a batch of items as they were, with those vectors that they had."""
    new = [
        NewItem(
            (source / crop).read_bytes(), NOTHING, NOTHING, item.subject, item.side, item.tags, item.source, item.box,
            item.sha256,
        )
        for item, crop in batch
    ]  # fmt: skip
    columns = {}
    for space_id, file in vectors.items():
        pairs = [(n, pair) for n, (item, _) in enumerate(batch) if (pair := file.take(item.id)) is not None]
        if pairs:
            columns[space_id] = column(pairs, dims[space_id])
    return len(changes.enrol(connection, new, columns, [item for item, _ in batch]))


class VectorFile:
    """The vectors of one space, read along with the items: both are in the order of enrolment."""

    def __init__(self, source: Path, space_id: str) -> None:
        self._rows = self._read(source / VECTORS / f"{space_id}.parquet")
        self._next = next(self._rows, None)

    def take(self, item_id: str) -> Vectors | None:
        """The vectors of the next item if it is this one."""
        if self._next is None or self._next[0] != item_id:
            return None
        vectors = self._next[1]
        self._next = next(self._rows, None)
        return vectors

    def _read(self, file: Path) -> Iterator[tuple[str, Vectors]]:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=BATCH):
            columns = [batch.column(name) for name in ("id", "mu", "embedding")]
            for item_id, mu, embedding in zip(*columns, strict=True):
                pair = Vectors(mu.values.to_numpy(), embedding.values.to_numpy())
                yield item_id.as_py(), pair


def item_batches(source: Path) -> Iterator[list[tuple[Item, str]]]:
    """The items and the paths of their crops."""
    for batch in pq.ParquetFile(source / ITEMS).iter_batches(batch_size=BATCH):
        yield [(to_item(row), row["crop"]) for row in batch.to_pylist()]


def to_item(row: dict[str, Any]) -> Item:
    box = tuple(row["box"]) if row["box"] else None
    labels = (row["subject"], row["side"], tuple(row["tags"]))
    return Item(row["id"], 0, *labels, row["source"], row["sha256"], row["created"], box)


def read_manifest(source: Path) -> dict[str, Any]:
    """An archive's facts. Raises BackupRefused."""
    try:
        facts: dict[str, Any] = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackupRefused(f"{source} is no complete archive: {MANIFEST} cannot be read ({error})") from None
    if facts.get("format") != FORMAT:
        raise BackupRefused(f"{source} is an archive of format {facts.get('format')}: this version reads {FORMAT}")
    return facts
