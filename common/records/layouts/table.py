"""A table of pictures: CSV with a column `path` (or `file_name`) and, where known, subject, side, box, landmarks."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from common.records.layout import Layout, ReadOptions, Source
from common.records.record import RecordsError, Row, UnusableRow
from common.records.text import decode_table, table_rows
from common.records.tree import Tree, record_path
from common.records.values import known_name, point_names, to_record

ENDINGS = (".csv", ".tsv")


def recognises(source: Source) -> bool:
    """A table, or a folder or archive that holds `metadata.csv`."""
    if source.file is not None:
        return source.file.lower().endswith(ENDINGS)
    return bool(source.tree.tables())


def read(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every row of the table, or of every table of the archive; paths are relative to their table."""
    names = [source.file] if source.file is not None else source.tree.tables()
    if not names:
        raise RecordsError(f"{source.name}: layout csv needs a metadata.csv in it")
    for name in names:
        yield from read_table(source.tree, name)


def read_table(tree: Tree, table: str) -> Iterator[Row]:
    """The rows of one table of a tree; a row with too few or too many columns fails alone."""
    where = tree.location(table).file if tree.location(table).kind == "whole" else f"{tree.address}/{table}"
    try:
        text = decode_table(tree.read(table), where)
    except OSError as error:
        raise RecordsError(f"{where}: cannot be read: {error.strerror or error}") from None
    header, rows = table_rows(text, where)
    columns = [known_name(column) for column in header]
    if "path" not in columns:
        raise RecordsError(f"{where}: has no column 'path'; it has {', '.join(header) or 'none'}")
    points = point_names(columns)
    folder = posixpath.dirname(table)
    for line, cells in rows:
        if len(cells) != len(columns):
            named = cells[columns.index("path")] if len(cells) > columns.index("path") else "?"
            yield UnusableRow(f"{where}: line {line} ({named})", f"has {len(cells)} of {len(columns)} columns")
            continue
        row: dict[str, Any] = dict(zip(columns, cells, strict=True))
        path = row["path"].strip().replace("\\", "/")
        if not path:
            yield UnusableRow(f"{where}: line {line}", "has no path")
            continue
        name = posixpath.normpath(posixpath.join(folder, path))
        record = to_record(name, record_path(tree, name), row, points, tree.location(name))
        yield UnusableRow(name, f"{where}: line {line}: {record.reason}") if isinstance(record, UnusableRow) else record


LAYOUT = Layout("csv", "a table with a column 'path'", recognises, read)
