"""What a layout is: a name, how `auto` recognises it, and how it is read. The registry is in `reader.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.records.record import RecordsError, Row
from common.records.tree import Tree


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read."""

    layout: str = "auto"
    """A layout's name; `auto`: the first one that recognises the source."""
    subject_pattern: str | None = None
    """Regular expression with a group `subject`, searched in each picture's relative name; groups `side` and `split`
    count as such, every other group is an attribute. Chooses the layout `pattern`."""

    def __post_init__(self) -> None:
        if self.subject_pattern is None:
            return
        try:
            groups = re.compile(self.subject_pattern).groupindex
        except re.error as error:
            raise RecordsError(f"--subject-pattern {self.subject_pattern!r}: no regular expression: {error}") from None
        if "subject" not in groups:
            raise RecordsError(
                f"--subject-pattern {self.subject_pattern!r}: has no group (?P<subject>...), which names the person"
            )


@dataclass(frozen=True)
class Source:
    """What is to be read: a tree of files, of which `file` alone is asked for where a file was given."""

    tree: Tree
    file: str | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return self.tree.address if self.file is None else self.tree.location(self.file).file


@dataclass(frozen=True)
class Layout:
    """One way in which people keep pictures of ears."""

    name: str
    about: str
    """In one line, what belongs to it."""
    recognises: Callable[[Source], bool]
    """Whether `auto` may take it; asked in the order of the registry."""
    read: Callable[[Source, ReadOptions], Iterator[Row]]
    """Every record of the source, and every row that gives none."""
