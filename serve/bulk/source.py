"""What a bulk embedding reads: pictures of a folder, a tar archive or Parquet files, on any fsspec file system.

The source is listed once; every input becomes a row that says where its bytes are, so that any worker can read any
part of it by itself. Decodes no picture.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pyarrow
import pyarrow.parquet as parquet

from index.tools.sources import PICTURES, TABLE, to_box, to_side
from serve.bulk.errors import BulkRefused

Row = dict[str, Any]
SCHEMA = pyarrow.schema(
    [
        ("row", pyarrow.int64()),  # 0, 1, 2, ... in the order of the listing
        ("name", pyarrow.string()),
        ("file", pyarrow.string()),  # with the protocol in front
        ("kind", pyarrow.string()),  # whole | slice | cell
        ("offset", pyarrow.int64()),  # slice: first byte; cell: number of the row in its Parquet file
        ("size", pyarrow.int64()),  # slice: bytes
        ("side", pyarrow.string()),
        ("box", pyarrow.list_(pyarrow.float64())),  # x1, y1, x2, y2 in pixels
        ("problem", pyarrow.string()),  # what makes the row unusable without looking at its picture
    ]
)


def list_inputs(source: str) -> Iterator[Row]:
    """Every input of a source, always in the same order. Raises BulkRefused where it is of no known kind."""
    files, path = fsspec.core.url_to_fs(source)
    if files.isdir(path):
        found = _in_folder(files, path)
    elif not files.exists(path):
        raise BulkRefused(f"{source} is neither a file nor a folder")
    elif path.lower().endswith(".parquet"):
        found = _in_parquet(files, path)
    elif path.lower().endswith(".tar"):
        found = _in_tar(files, path)
    else:
        raise BulkRefused(
            f"{source} is of no known kind: give a folder, a .parquet file or an uncompressed .tar (a compressed one "
            "cannot be read from the middle)"
        )
    try:
        for number, row in enumerate(found):
            yield {"row": number, **row}
    except (tarfile.TarError, pyarrow.ArrowInvalid) as error:
        raise BulkRefused(f"{source} is broken: {error}") from None


def read_bytes(rows: list[Row]) -> list[Callable[[], bytes]]:
    """For each row what reads its picture; a reader raises OSError or KeyError where there is none."""
    cells: dict[str, dict[int, Any]] = {}
    for file in {row["file"] for row in rows if row["kind"] == "cell"}:
        cells[file] = _cells(file, {row["offset"] for row in rows if row["file"] == file})
    return [_reader(row, cells) for row in rows]


def _reader(row: Row, cells: Mapping[str, Mapping[int, Any]]) -> Callable[[], bytes]:
    def read() -> bytes:
        if row["problem"] is not None:
            raise ValueError(row["problem"])
        if row["kind"] == "cell":
            return _cell_bytes(cells[row["file"]][row["offset"]], row)
        files, path = fsspec.core.url_to_fs(row["file"])
        span = (row["offset"], row["offset"] + row["size"]) if row["kind"] == "slice" else (None, None)
        return bytes(files.cat_file(path, *span))

    return read


def _in_folder(files: Any, folder: str) -> Iterator[Row]:
    table = f"{folder}/{TABLE}"
    if files.exists(table):
        for row in _table(files.cat_file(table)):
            path = f"{folder}/{row.get('path')}"
            yield _row(str(row.get("path")), files.unstrip_protocol(path), "whole", row)
        return
    names = sorted(files.find(folder))
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in PICTURES]
    for name in pictures:
        yield _row(name[len(folder) :].lstrip("/"), files.unstrip_protocol(name), "whole", {})
    if not pictures:
        for name in names:
            if name.lower().endswith(".parquet"):
                yield from _in_parquet(files, name)


def _in_tar(files: Any, path: str) -> Iterator[Row]:
    known: dict[str, Mapping[str, Any]] = {}
    found = []
    with files.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            content = archive.extractfile(member) if member.isfile() and name.name == TABLE else None
            if content is not None:
                known |= {str(name.parent / row["path"]): row for row in _table(content.read())}
            elif member.isfile() and name.suffix.lower() in PICTURES:
                found.append((member.name, member.offset_data, member.size))
    address = files.unstrip_protocol(path)
    for member_name, offset, size in found:
        yield _row(member_name, address, "slice", known.get(member_name, {}), offset, size)


def _in_parquet(files: Any, path: str) -> Iterator[Row]:
    address = files.unstrip_protocol(path)
    with files.open(path, "rb") as file:
        reader = parquet.ParquetFile(file)
        names = set(reader.schema_arrow.names)
        if not {"image", "path"} & names:
            raise BulkRefused(f"{path} has the columns {sorted(names)}: 'image' (encoded bytes) or 'path' is needed")
        columns = sorted(names & {"path", "name", "side", "box", "x1", "y1", "x2", "y2"})
        number = 0
        for group in range(reader.num_row_groups):
            table = reader.read_row_group(group, columns=columns)
            for row in table.to_pylist() if columns else [{}] * reader.metadata.row_group(group).num_rows:
                name = str(row.get("path") or row.get("name") or f"{PurePosixPath(path).name}:{number}")
                yield _row(name, address, "cell", row, number)
                number += 1


def _row(name: str, file: str, kind: str, given: Mapping[str, Any], offset: int = 0, size: int = 0) -> Row:
    row: Row = {"name": name, "file": file, "kind": kind, "offset": offset, "size": size}
    try:
        box = to_box(given)
        return {**row, "side": to_side(given.get("side")), "box": None if box is None else list(box), "problem": None}
    except (TypeError, ValueError) as error:
        return {**row, "side": None, "box": None, "problem": str(error)}


def _table(content: bytes) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    if "path" not in (reader.fieldnames or ()):
        raise BulkRefused(f"{TABLE} has the columns {reader.fieldnames}: one named 'path' is needed")
    return list(reader)


def _cells(address: str, wanted: set[int]) -> dict[int, Any]:
    """The rows of a Parquet file by their number, from the row groups that hold them."""
    files, path = fsspec.core.url_to_fs(address)
    found: dict[int, Any] = {}
    with files.open(path, "rb") as file:
        reader = parquet.ParquetFile(file)
        columns = [name for name in ("image", "path") if name in reader.schema_arrow.names]
        first = 0
        for group in range(reader.num_row_groups):
            count = reader.metadata.row_group(group).num_rows
            inside = [number - first for number in sorted(wanted) if first <= number < first + count]
            if inside:
                rows = reader.read_row_group(group, columns=columns).take(inside).to_pylist()
                found |= {first + place: row for place, row in zip(inside, rows, strict=True)}
            first += count
    return found


def _cell_bytes(cell: Mapping[str, Any], row: Row) -> bytes:
    image = cell.get("image")
    if isinstance(image, Mapping):  # as Hugging Face's datasets write it
        image = image.get("bytes")
    if image is not None:
        return bytes(image)
    if not cell.get("path"):
        raise ValueError("the row has neither an image nor a path")
    files, path = fsspec.core.url_to_fs(row["file"])
    return bytes(files.cat_file(f"{PurePosixPath(path).parent}/{cell['path']}"))
