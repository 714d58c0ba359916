"""Files below a folder or in a tar archive, listed once, so that a layout need not know which of the two it reads.

Hidden files, macOS's `._*` twins and `__MACOSX` folders are passed over; a folder that cannot be read is told.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from common.records.location import Location, beside, file_system, open_file, read_file
from common.records.record import PICTURES, RecordsError, UnusableRow

TABLE = "metadata.csv"
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class Tree(Protocol):
    """A source with several files."""

    address: str

    @property
    def names(self) -> list[str]:
        """Every file, relative, with `/` between folders, sorted."""

    @property
    def problems(self) -> list[UnusableRow]:
        """Folders that could not be read; complete once `names` was asked for."""

    def tables(self) -> list[str]:
        """The names of its tables."""

    def location(self, name: str) -> Location:
        """Where a file's bytes are, whether or not it was listed."""

    def read(self, name: str) -> bytes:
        """A file. Raises OSError."""


def pictures(tree: Tree) -> list[str]:
    """The names of the pictures of a tree."""
    return [name for name in tree.names if PurePosixPath(name).suffix.lower() in PICTURES]


def record_path(tree: Tree, name: str) -> Path:
    """What messages call a picture of the tree; of a local folder, its file."""
    return Path(tree.address) / name


class FolderTree:
    """A folder, local or of an fsspec file system. Links to folders are followed, once each."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.problems: list[UnusableRow] = []

    @cached_property
    def names(self) -> list[str]:
        everything = self._local() if "://" not in self.address else self._remote()
        return sorted(name for name in everything if not _hidden(name))

    def tables(self) -> list[str]:
        return [TABLE] if self.location(TABLE).exists() else []

    def location(self, name: str) -> Location:
        return Location(beside(f"{self.address.rstrip('/') or '/'}/x", name))

    def read(self, name: str) -> bytes:
        return read_file(self.location(name).file)

    def _local(self) -> Iterator[str]:
        visited = set()
        for folder, folders, files in os.walk(self.address, onerror=self._note, followlinks=True):
            if (real := os.path.realpath(folder)) in visited:  # a link that leads back up
                folders.clear()
                continue
            visited.add(real)
            folders[:] = [name for name in folders if not _hidden(name)]
            relative = os.path.relpath(folder, self.address).replace(os.sep, "/")
            yield from (name if relative == "." else f"{relative}/{name}" for name in files)

    def _remote(self) -> Iterator[str]:
        files, root = file_system(self.address)
        for folder, _, names in files.walk(root, on_error=self._note):
            relative = folder[len(root) :].strip("/")
            yield from (f"{relative}/{name}" if relative else name for name in names)

    def _note(self, error: OSError) -> None:
        self.problems.append(UnusableRow(str(error.filename or self.address), f"folder cannot be read: {error}"))


class TarTree:
    """A tar archive. Members of an uncompressed one are slices of its file, which any process can read by itself.

    Raises:
        RecordsError: no readable archive.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.problems: list[UnusableRow] = []
        self._kind: str = "slice" if address.lower().endswith(".tar") else "member"
        self._members: dict[str, tuple[int, int]] = {}
        try:
            with open_file(address) as stream, tarfile.open(fileobj=stream, mode="r:*") as archive:
                for member in archive:
                    if member.isfile() and not _hidden(member.name):
                        self._members[member.name.removeprefix("./")] = (member.offset_data, member.size)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise RecordsError(
                f"{address} is broken: not a readable tar archive ({str(error).splitlines()[0]})"
            ) from None
        self.names = sorted(self._members, key=self._members.__getitem__)  # the order of the archive reads fastest

    def tables(self) -> list[str]:
        return [name for name in self.names if PurePosixPath(name).name == TABLE]

    def location(self, name: str) -> Location:
        if name not in self._members:
            return Location(f"{self.address}/{name}")  # does not exist, and is told as such
        offset, size = self._members[name]
        return Location(self.address, "slice" if self._kind == "slice" else "member", offset, size)

    def read(self, name: str) -> bytes:
        if name not in self._members:
            raise FileNotFoundError(f"{self.address} has no {name}")
        return self.location(name).read()


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part != "." or part == "__MACOSX" for part in name.split("/"))
