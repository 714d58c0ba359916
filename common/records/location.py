"""Where the bytes of a picture are, in plain values that another process can use: a file, a part of a tar archive, or a
cell of a Parquet file, on the local disk or on any file system that fsspec knows.
"""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Literal

Kind = Literal["whole", "slice", "member", "cell"]


@dataclass(frozen=True)
class Location:
    """The bytes of one picture.

    `whole`: the file. `slice`: `size` bytes of it from `offset` on (uncompressed tar). `member`: the same of its
    decompressed content (compressed tar; reads that follow the order of the archive are fast). `cell`: row number
    `offset` of a Parquet file.
    """

    file: str
    """A local path, or an fsspec address with its protocol."""
    kind: Kind = "whole"
    offset: int = 0
    size: int = 0

    def read(self) -> bytes:
        """Raises OSError where there is nothing, ValueError where a row of a Parquet file has no picture."""
        if self.kind == "whole":
            return read_file(self.file)
        if self.kind == "slice":
            return read_file(self.file, self.offset, self.offset + self.size)
        if self.kind == "member":
            with _reading:
                stream = _decompressed(self.file)
                stream.seek(self.offset)
                return bytes(stream.read(self.size))
        return _cell(self.file, self.offset)

    def exists(self) -> bool:
        """Whether the file is there; parts of archives are, since they were listed."""
        if "://" not in self.file:
            return os.path.isfile(self.file)
        files, path = file_system(self.file)
        return bool(files.isfile(path))


_reading = threading.RLock()


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and its path there."""
    import fsspec

    files, path = fsspec.core.url_to_fs(address)
    return files, path


def read_file(address: str, start: int | None = None, stop: int | None = None) -> bytes:
    """A file, or its bytes from `start` up to `stop`."""
    if "://" in address:
        files, path = file_system(address)
        return bytes(files.cat_file(path, start, stop))
    with open(address, "rb") as stream:
        stream.seek(start or 0)
        return stream.read() if stop is None else stream.read(stop - (start or 0))


def open_file(address: str) -> Any:
    """A stream of bytes that can seek."""
    if "://" not in address:
        return open(address, "rb")
    files, path = file_system(address)
    return files.open(path, "rb")


_open: dict[str, tuple[Any, tarfile.TarFile]] = {}
"""The compressed archive that was read last, file and content; the content goes forward from picture to picture."""


def _decompressed(address: str) -> Any:
    if address not in _open:
        forget()
        stream = open_file(address)
        _open[address] = stream, tarfile.open(fileobj=stream, mode="r:*")  # noqa: SIM115  open while it is used
    return _open[address][1].fileobj


def forget() -> None:
    """Close and forget what is kept of archives and Parquet files: whoever lists a source anew may find another."""
    with _reading:
        for stream, archive in _open.values():
            content: Any = archive.fileobj
            archive.close()
            content.close()
            stream.close()
        _open.clear()
        _row_group.cache_clear()
        _group_sizes.cache_clear()


@lru_cache(maxsize=2)
def _row_group(address: str, number: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as parquet

    with open_file(address) as stream:
        reader = parquet.ParquetFile(stream)
        columns = [name for name in ("image", "path") if name in reader.schema_arrow.names]
        rows: list[dict[str, Any]] = reader.read_row_group(number, columns=columns).to_pylist()
    return rows


@lru_cache(maxsize=64)
def _group_sizes(address: str) -> tuple[int, ...]:
    import pyarrow.parquet as parquet

    with open_file(address) as stream:
        facts = parquet.ParquetFile(stream).metadata
        return tuple(facts.row_group(number).num_rows for number in range(facts.num_row_groups))


def _cell(address: str, row: int) -> bytes:
    with _reading:
        for number, count in enumerate(_group_sizes(address)):
            if row < count:
                return _picture(_row_group(address, number)[row], address)
            row -= count
    raise ValueError(f"{address} has no such row any more")


def _picture(cell: Mapping[str, Any], address: str) -> bytes:
    """The picture of a row: bytes, a Hugging Face image ({bytes, path}), or a path relative to the Parquet file."""
    image: Any = cell.get("image")
    path = cell.get("path")
    if isinstance(image, Mapping):
        image, path = image.get("bytes"), image.get("path") or path
    elif isinstance(image, str):
        image, path = None, image
    if image is not None:
        return bytes(image)
    if not path:
        raise ValueError("the row has neither an image nor a path")
    return read_file(beside(address, str(path)))


def beside(address: str, path: str) -> str:
    """The address of `path`, which is relative to the folder of the file at `address` unless it is absolute."""
    if "://" in address:
        protocol, rest = address.split("://", 1)
        return f"{protocol}://{PurePosixPath(rest).parent / path}"
    return os.path.join(os.path.dirname(address), path)
