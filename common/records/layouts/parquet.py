"""Parquet with a column `image` (encoded bytes, or Hugging Face's {bytes, path}) or `path`, and a table's columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from common.records.layout import Layout, ReadOptions, Source
from common.records.location import Location, open_file
from common.records.record import RecordsError, Row
from common.records.tree import pictures
from common.records.values import known_name, point_names, to_record

ENDING = ".parquet"


def recognises(source: Source) -> bool:
    """A Parquet file, or a folder that holds some and no picture."""
    if source.file is not None:
        return source.file.lower().endswith(ENDING)
    return bool(_files(source)) and not pictures(source.tree)


def read(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every row of every file; pictures are not read with them."""
    files = [source.file] if source.file is not None else _files(source)
    if not files:
        raise RecordsError(f"{source.name}: layout parquet needs {ENDING} files")
    for file in files:
        yield from _read_file(source.tree.location(file).file)


def _files(source: Source) -> list[str]:
    return [name for name in source.tree.names if name.lower().endswith(ENDING)]


def _read_file(address: str) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise RecordsError("Parquet needs pyarrow: pip install pyarrow") from None
    try:
        with open_file(address) as stream:
            reader = parquet.ParquetFile(stream)
            columns = reader.schema_arrow.names
            named = {known_name(column) for column in columns}
            if not {"image", "path"} & named:
                raise RecordsError(
                    f"{address} has the columns {sorted(columns)}: 'image' (encoded bytes) or 'path' is needed"
                )
            yield from _rows(reader, address, [column for column in columns if column != "image"])
    except pyarrow.ArrowInvalid as error:
        raise RecordsError(f"{address} is broken: {error}") from None


def _rows(reader: Any, address: str, columns: list[str]) -> Iterator[Row]:
    columns = [*columns, *(["image.path"] if _image_has_path(reader) else [])]
    points = point_names(columns)
    number = 0
    for group in range(reader.num_row_groups):
        count = reader.metadata.row_group(group).num_rows
        cells = reader.read_row_group(group, columns=columns).to_pylist() if columns else [{}] * count
        for row in cells:
            row = {known_name(key): value for key, value in row.items()}
            image, own_name = row.pop("image", None) or {}, row.pop("name", None)
            name = str(row.get("path") or own_name or image.get("path") or f"{PurePosixPath(address).name}:{number}")
            yield to_record(name, Path(address) / name, row, points, Location(address, "cell", number))
            number += 1


def _image_has_path(reader: Any) -> bool:
    """Whether `image` is Hugging Face's struct of bytes and path."""
    if "image" not in reader.schema_arrow.names:
        return False
    kind = reader.schema_arrow.field("image").type
    return getattr(kind, "num_fields", 0) > 0 and kind.get_field_index("path") >= 0


LAYOUT = Layout("parquet", "Parquet with a column 'image' or 'path'", recognises, read)
