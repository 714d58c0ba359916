"""What a bulk embedding reads: the pictures of any layout of `common.records`, on any fsspec file system.

The source is listed once; every input becomes a row of plain values that says where its bytes are, so that any worker
can read any part of it by itself. Decodes no picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, cast

import pyarrow

from common.records.location import Kind, Location
from common.records.reader import open_records
from common.records.record import RecordsError, UnusableRow
from common.records.record import Row as Entry
from common.records.tree import ARCHIVES
from serve.bulk.errors import BulkRefused

Row = dict[str, Any]
SCHEMA = pyarrow.schema(
    [
        ("row", pyarrow.int64()),  # 0, 1, 2, ... in the order of the listing
        ("name", pyarrow.string()),
        ("file", pyarrow.binary()),  # as the file system spells it, with the protocol in front; it may not be UTF-8
        ("kind", pyarrow.string()),  # whole | slice | cell, see common.records.location.Location
        ("offset", pyarrow.int64()),
        ("size", pyarrow.int64()),
        ("side", pyarrow.string()),
        ("box", pyarrow.list_(pyarrow.float64())),  # x1, y1, x2, y2 in pixels
        ("problem", pyarrow.string()),  # what makes the row unusable without looking at its picture
    ]
)


def list_inputs(source: str) -> Iterator[Row]:
    """Every input of a source, always in the same order. Raises BulkRefused where it is of no known kind."""
    if source.lower().endswith(tuple(ending for ending in ARCHIVES if ending != ".tar")):
        raise BulkRefused(
            f"{source} is compressed: give an uncompressed .tar (a compressed one cannot be read from the middle)"
        )
    try:
        for number, entry in enumerate(open_records(source)):
            yield {"row": number, **_row(entry)}
    except RecordsError as error:
        raise BulkRefused(str(error)) from None


def read_bytes(rows: list[Row]) -> list[Callable[[], bytes]]:
    """For each row what reads its picture; a reader raises OSError or ValueError where there is none."""
    return [_reader(row) for row in rows]


def _reader(row: Row) -> Callable[[], bytes]:
    def read() -> bytes:
        if row["problem"] is not None:
            raise ValueError(row["problem"])
        return Location(os.fsdecode(row["file"]), cast(Kind, row["kind"]), row["offset"], row["size"]).read()

    return read


def _row(entry: Entry) -> Row:
    name = (entry.name if entry.name.isprintable() else ascii(entry.name)[1:-1]) or "?"
    if isinstance(entry, UnusableRow):
        unknown = {"file": b"", "kind": "whole", "offset": 0, "size": 0, "side": None, "box": None}
        return {"name": name, **unknown, "problem": entry.reason}
    place = entry.place
    box = None if entry.box is None else list(entry.box)
    address = {"file": os.fsencode(place.file), "kind": place.kind, "offset": place.offset, "size": place.size}
    return {"name": name, **address, "side": entry.side, "box": box, "problem": None}
