"""The one reader of pictures and what is said of them: training, evaluation, gallery import and bulk embedding use it.

`LAYOUTS` is the registry: a new way of keeping pictures is a file in `layouts/` and an entry here (docs/extending.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.records.layout import Layout, ReadOptions, Source
from common.records.layouts import awe, folders, npy, parquet, pattern, table
from common.records.location import file_system, forget
from common.records.record import EarRecord, RecordsError, Row, UnusableRow
from common.records.tree import ARCHIVES, FolderTree, TarTree

LAYOUTS: tuple[Layout, ...] = (
    table.LAYOUT,
    npy.LAYOUT,
    parquet.LAYOUT,
    awe.LAYOUT,
    pattern.AMI_LAYOUT,
    pattern.PATTERN,
    folders.PEOPLE,
    folders.PLAIN,
)
"""In the order in which `auto` asks them."""
AUTO = "auto"
LAYOUT_NAMES = (AUTO, *(layout.name for layout in LAYOUTS))
_FILES = (*table.ENDINGS, ".npy", parquet.ENDING)


@dataclass(frozen=True)
class OpenedSource:
    """A source whose layout is known; iterating reads it, row by row."""

    source: Source
    layout: Layout
    options: ReadOptions

    def __iter__(self) -> Iterator[Row]:
        yield from self.layout.read(self.source, self.options)
        yield from self.source.tree.problems


@dataclass(frozen=True)
class RecordSet:
    """Everything a source holds."""

    records: list[EarRecord]
    unusable: list[UnusableRow]
    """Rows, files and folders that gave no record."""
    source: str
    layout: Layout

    @property
    def people(self) -> int:
        """How many subjects are known."""
        return len({record.subject for record in self.records if record.subject is not None})

    def __str__(self) -> str:
        """One line: what was taken for what, and what is in it."""
        who = f"{self.people} people" if self.people else "no subjects known"
        more = f", {len(self.unusable)} entries cannot be used" if self.unusable else ""
        return (
            f"{self.source}: read as layout '{self.layout.name}' ({self.layout.about}): "
            f"{len(self.records)} pictures, {who}{more}"
        )


def open_records(address: str | Path, options: ReadOptions | None = None) -> OpenedSource:
    """Find out what a source is, without reading its rows.

    Args:
        address: a folder, a tar archive, or a .csv, .tsv, .npy or .parquet file; a local path or any fsspec address.

    Raises:
        RecordsError: nothing there, or nothing that a layout recognises.
    """
    options = options or ReadOptions()
    forget()
    source = _source(str(address))
    name = "pattern" if options.subject_pattern is not None and options.layout == AUTO else options.layout
    if name != AUTO:
        chosen = [layout for layout in LAYOUTS if layout.name == name]
        if not chosen:
            raise RecordsError(f"--layout {name!r}: must be one of {', '.join(LAYOUT_NAMES)}")
        return OpenedSource(source, chosen[0], options)
    layout = next(layout for layout in LAYOUTS if layout.recognises(source))
    return OpenedSource(source, layout, options)


def read_records(address: str | Path, options: ReadOptions | None = None) -> RecordSet:
    """Read a whole source. Raises RecordsError."""
    opened = open_records(address, options)
    records: list[EarRecord] = []
    unusable: list[UnusableRow] = []
    for row in opened:
        if isinstance(row, EarRecord):
            records.append(row)
        else:
            unusable.append(row)
    return RecordSet(records, unusable, str(address), opened.layout)


def _source(address: str) -> Source:
    is_folder, is_file = _kind(address)
    if is_folder:
        return Source(FolderTree(address))
    if not is_file:
        raise RecordsError(f"{address} is neither a file nor a folder")
    if address.lower().endswith(ARCHIVES):
        return Source(TarTree(address))
    if address.lower().endswith(_FILES):
        folder, _, name = address.rpartition("/")
        return Source(FolderTree(folder or ("/" if address.startswith("/") else ".")), name)
    raise RecordsError(
        f"{address} is of no known kind: give a folder of pictures, a tar archive ({', '.join(ARCHIVES)}), or a file "
        f"that ends in {', '.join(_FILES)}"
    )


def _kind(address: str) -> tuple[bool, bool]:
    """Whether it is a folder, and whether it is a file."""
    if "://" not in address:
        return os.path.isdir(address), os.path.isfile(address)
    files, path = file_system(address)
    return bool(files.isdir(path)), bool(files.isfile(path))
