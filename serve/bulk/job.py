"""A bulk embedding as a folder that can be taken up again: the listing, one Parquet file per part, a table of errors.

A part is there whole or not at all, and doing it twice gives the same file: so a killed worker or run costs its part
and nothing else, and every input has exactly one row. Knows no model.
"""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet

from common.durable_files import write_atomically
from serve.bulk.errors import BulkFailed, BulkRefused
from serve.bulk.source import SCHEMA, Row, list_inputs

JOB, INPUTS, ERRORS = "job.json", "inputs.parquet", "errors.parquet"


@dataclass(frozen=True)
class Terms:
    """What must be the same for a job to be taken up again."""

    source: str
    space_id: str
    part_rows: int
    with_mu: bool


@dataclass(frozen=True)
class Job:
    """A job in the folder `out` (any fsspec address): `inputs` rows in `parts` parts."""

    out: str
    terms: Terms
    inputs: int

    @property
    def parts(self) -> int:
        return -(-self.inputs // self.terms.part_rows)

    def rows(self, part: int) -> list[Row]:
        """The inputs of a part, in order."""
        files, folder = fsspec.core.url_to_fs(self.out)
        with files.open(f"{folder}/{INPUTS}", "rb") as file:
            return list(parquet.ParquetFile(file).read_row_group(part).to_pylist())

    def missing(self) -> list[int]:
        """The parts that are still to be done."""
        files, folder = fsspec.core.url_to_fs(self.out)
        names = {name.rsplit("/", 1)[-1] for name in files.ls(folder, detail=False, refresh=True)}
        return [part for part in range(self.parts) if part_name(part) not in names]

    def has(self, part: int) -> bool:
        """Whether a part is done."""
        files, folder = fsspec.core.url_to_fs(self.out)
        return bool(files.exists(f"{folder}/{part_name(part)}"))

    def write(self, part: int, table: pyarrow.Table) -> None:
        """Put a part in its place, in one step."""
        write_table(self.out, part_name(part), table)

    def finish(self) -> int:
        """Count the rows of every part and write the table of errors; returns how many there are. Raises BulkFailed."""
        files, folder = fsspec.core.url_to_fs(self.out)
        wrong, failed = [], []
        for part in range(self.parts):
            with files.open(f"{folder}/{part_name(part)}", "rb") as file:
                table = parquet.ParquetFile(file).read(columns=["row", "name", "error"])
            first = part * self.terms.part_rows
            if table["row"].to_pylist() != list(range(first, min(first + self.terms.part_rows, self.inputs))):
                wrong.append(part_name(part))
            failed.append(table.filter(compute.is_valid(table["error"])))
        if wrong:
            raise BulkFailed(f"{wrong[0]} does not hold the rows that it should: delete it and run the command again")
        errors = pyarrow.concat_tables(failed)
        write_table(self.out, ERRORS, errors)
        return int(errors.num_rows)


def part_name(part: int) -> str:
    """The file of a part; a glob of `part-*.parquet` is the whole table, in order."""
    return f"part-{part:08d}.parquet"


def absolute(address: str) -> str:
    """An address that means the same in every process: local paths from the root, others as they are."""
    return address if "://" in address else os.path.abspath(os.path.expanduser(address))


def open_job(out: str, terms: Terms) -> Job:
    """Take up the job in `out`, or list the source and begin one. Raises BulkRefused."""
    files, folder = fsspec.core.url_to_fs(out)
    if files.exists(f"{folder}/{JOB}"):
        return _taken_up(out, terms, json.loads(files.cat_file(f"{folder}/{JOB}")))
    if files.exists(folder) and any(INPUTS not in name for name in files.ls(folder, detail=False)):
        raise BulkRefused(f"{out} holds other files: give an empty folder, or one that this command began to fill")
    files.makedirs(folder, exist_ok=True)
    inputs = _write_listing(out, list_inputs(terms.source), terms.part_rows)
    if not inputs:
        raise BulkRefused(f"{terms.source} holds no pictures")
    put(out, JOB, json.dumps({**asdict(terms), "inputs": inputs}, indent=1).encode())  # last: now the listing counts
    return Job(out, terms, inputs)


def _taken_up(out: str, terms: Terms, kept: dict[str, Any]) -> Job:
    inputs = kept.pop("inputs")
    for name, given in asdict(terms).items():
        if kept[name] != given:
            raise BulkRefused(
                f"{out} was begun with {name} {kept[name]!r}, now it is {given!r}: give another folder, or what it was"
            )
    return Job(out, terms, inputs)


def _write_listing(out: str, rows: Iterable[Row], part_rows: int) -> int:
    """The listing as Parquet, one row group per part; returns how many rows."""
    files, folder = fsspec.core.url_to_fs(out)
    count, rows = 0, iter(rows)
    with files.open(f"{folder}/{INPUTS}", "wb") as file, parquet.ParquetWriter(file, SCHEMA) as writer:
        while some := list(itertools.islice(rows, part_rows)):
            writer.write_table(pyarrow.Table.from_pylist(some, SCHEMA), row_group_size=part_rows)
            count += len(some)
    return count


def write_table(out: str, name: str, table: pyarrow.Table) -> None:
    """A whole Parquet file or none."""
    content = io.BytesIO()
    parquet.write_table(table, content)
    put(out, name, content.getvalue())


def put(out: str, name: str, content: bytes) -> None:
    """A whole file or none: on a local disk by renaming, elsewhere by what the store promises of a single upload."""
    files, folder = fsspec.core.url_to_fs(out)
    if "file" not in _protocols(files.protocol):
        files.pipe_file(f"{folder}/{name}", content)
        return
    write_atomically(Path(folder) / name, content)


def _protocols(named: str | Sequence[str]) -> tuple[str, ...]:
    return (named,) if isinstance(named, str) else tuple(named)
