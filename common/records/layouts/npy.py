"""A teacher file: `np.save` of a dict with `image_paths` and, where known, `bboxes`, `subjects`, `sides`, landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common.records.layout import Layout, ReadOptions, Source
from common.records.location import Location, beside
from common.records.record import RecordsError, Row, UnusableRow
from common.records.values import known_name, to_record
from common.unpickle import UnreadableFile, read_npy_dict


def read(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every entry; a column of another length than `image_paths` is refused, a single value is passed over."""
    file = source.name
    try:
        columns = {known_name(key): value for key, value in read_npy_dict(file).items()}
    except UnreadableFile as error:
        raise RecordsError(str(error)) from None
    if "path" not in columns:
        raise RecordsError(f"{file}: holds a dict with {sorted(columns)}; expected one with 'image_paths'")
    count = len(columns["path"])
    lengths = {name: _length(column) for name, column in columns.items()}
    wrong = [f"{name} has {length}" for name, length in lengths.items() if length not in (None, count)]
    if wrong:
        raise RecordsError(f"{file}: image_paths has {count} entries, but {', '.join(wrong)}")
    kept = {name: column for name, column in columns.items() if lengths[name] == count}
    for number in range(count):
        row = {name: column[number] for name, column in kept.items()}
        name = str(row["path"])
        address = beside(file, name)
        record = to_record(name, Path(address), row, (), Location(address))
        yield UnusableRow(name, f"entry {number}: {record.reason}") if isinstance(record, UnusableRow) else record


def _length(column: Any) -> int | None:
    return len(column) if isinstance(column, (list, tuple)) or np.ndim(column) else None


LAYOUT = Layout(
    "npy", "a teacher file", lambda source: source.file is not None and source.file.lower().endswith(".npy"), read
)
