"""A gallery as open files, to keep or to carry elsewhere: items and vectors in Parquet, crops as picture files.

    archive.json                written last: its presence means complete
    items.parquet               one row per item: id, subject, side, tags, source, sha256, created, box, crop (a path)
    vectors/<space_id>.parquet  id, mu, embedding: lists of float32
    crops/ab/ear_ab….png        the stored crop, as it was enrolled

A copy of one moment, whatever is written meanwhile. `archive_restore.py` reads it again.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

from common.durable_files import rename, sync, write_json
from index.errors import BackupRefused
from index.items import Filter, Item
from index.neighbours import Matrix
from index.store import rows
from index.store.space_rows import read_calibration, read_spaces
from index.store.truth import Truth

MANIFEST, ITEMS, VECTORS, CROPS = "archive.json", "items.parquet", "vectors", "crops"
FORMAT = 1
BATCH = 500
SIGNS = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"RIFF", ".webp"))
ITEM_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "subject", "side", "source", "sha256", "created", "crop")]
    + [("tags", pa.list_(pa.string())), ("box", pa.list_(pa.float64()))]
)
VECTOR_SCHEMA = pa.schema([("id", pa.string()), ("mu", pa.list_(pa.float32())), ("embedding", pa.list_(pa.float32()))])


def export(truth: Truth, target: Path) -> int:
    """Write everything to the new folder `target`; returns how many items there are. Raises BackupRefused."""
    if target.exists():
        raise BackupRefused(f"{target} exists: give a new folder")
    working = target.with_name(f".{target.name}.writing-{os.getpid()}")
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True, mode=0o700)
    (working / VECTORS).mkdir()
    try:
        with truth.read() as connection:
            facts = write_all(connection, working)
        write_json(working / MANIFEST, facts)
        sync(working)
        rename(working, target)
    except BaseException:
        shutil.rmtree(working, ignore_errors=True)
        raise
    return int(facts["items"])


def write_all(connection: Connection, working: Path) -> dict[str, Any]:
    """Write every file but the manifest, whose facts are returned."""
    spaces = [space for space in read_spaces(connection).values() if space.state != "retiring"]
    with ExitStack() as files:
        item_file = files.enter_context(pq.ParquetWriter(working / ITEMS, ITEM_SCHEMA))
        vector_files = {
            space: files.enter_context(pq.ParquetWriter(working / VECTORS / f"{space.space_id}.parquet", VECTOR_SCHEMA))
            for space in spaces
        }
        after, count = 0, 0
        while page := rows.page(connection, after, BATCH, Filter()):
            after, count = page[-1][0], count + len(page)
            records = [item_row(item, write_crop(connection, working, item)) for _, item in page]
            item_file.write_table(pa.Table.from_pylist(records, ITEM_SCHEMA))
            ids = {key: item.id for key, item in page}
            for space, file in vector_files.items():
                keys, mu, embeddings = rows.pairs(connection, space.space_id, space.dim, list(ids))
                file.write_table(vector_table([ids[key] for key in keys.tolist()], mu, embeddings))
    for path in [working / ITEMS, *(working / VECTORS).iterdir()]:
        sync(path)
    active = next(space.space_id for space in spaces if space.state == "active")
    stored = {space.space_id: read_calibration(connection, space.space_id) for space in spaces}
    return {
        "format": FORMAT,
        "items": count,
        "active": active,
        "spaces": {space.space_id: space.dim for space in spaces},
        "calibrations": {name: calibration.document for name, calibration in stored.items() if calibration},
    }


def write_crop(connection: Connection, working: Path, item: Item) -> str:
    """Write an item's crop; returns its path in the archive."""
    data = rows.crop(connection, item.id)
    ending = next((ending for sign, ending in SIGNS if data.startswith(sign)), ".bin")
    path = Path(CROPS) / item.id.removeprefix("ear_")[:2] / f"{item.id}{ending}"
    (working / path).parent.mkdir(parents=True, exist_ok=True)
    (working / path).write_bytes(data)
    sync(working / path)
    return path.as_posix()


def item_row(item: Item, crop: str) -> dict[str, Any]:
    names = ("id", "subject", "side", "source", "sha256", "created", "tags", "box")
    return {name: getattr(item, name) for name in names} | {"crop": crop}


def vector_table(ids: list[str], mu: Matrix, embeddings: Matrix) -> Any:
    columns = [pa.array(ids, pa.string()), list_column(mu), list_column(embeddings)]
    return pa.Table.from_arrays(columns, schema=VECTOR_SCHEMA)


def list_column(matrix: Matrix) -> Any:
    """(N, D) float32 as a column of N lists, without a Python number in between."""
    width = matrix.shape[1]
    offsets = pa.array(range(0, matrix.size + width, width), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.ravel(), pa.float32()))
