"""The seam under the truth: transactions on some database that keeps what was committed.

What is stored, and in which tables, is the same on every database (`tables.py`, `rows.py`, `changes.py`); an
implementation of this protocol only opens transactions, keeps writers in one line, and names what goes wrong.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection


class Truth(Protocol):
    """A database that holds every acknowledged change. Safe to use from many threads."""

    def read(self) -> AbstractContextManager[Connection]:
        """A connection that sees one consistent state; never waits for writers."""

    def write(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction of its own, durable when the block ends, undone when the block raises.

        Raises GalleryReadOnly where the database cannot be written (disk full, read-only folder).
        """

    def check_writable(self, by_trying: bool = False) -> None:
        """Raise GalleryReadOnly if a write would fail, as far as that is known without one.

        by_trying: begin a write and undo it. A writer at work is no failure, and nobody waits for one.
        """

    def tidy(self) -> None:
        """Housekeeping: let nothing that was deleted linger in logs of the database."""

    def close(self) -> None: ...
