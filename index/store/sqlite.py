"""The truth in one SQLite file: WAL with synchronous=FULL, so that a commit returns after its fsync.

Knows pragmas, locks and what SQLite says when the disk is full; knows no table by name.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from index.errors import GalleryCorrupt, GalleryReadOnly

log = logging.getLogger(__name__)

BUSY_MS = 10_000
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",  # a deleted ear is overwritten, not only unlinked
    f"busy_timeout={BUSY_MS}",
    "cache_size=-16384",  # KiB, per connection: the system's cache holds the rest, once for all
)
READ_ONLY_SIGNS = ("database or disk is full", "readonly database", "disk I/O error", "unable to open database file")
CORRUPT_SIGNS = ("malformed", "not a database")


class SqliteTruth:
    """`file` is created where absent. Enrolling stops while `reserve_bytes` are still free on the disk."""

    def __init__(self, file: Path, reserve_bytes: int = 64 << 20) -> None:
        self._file = file
        self._reserve_bytes = reserve_bytes
        self._writers = threading.Lock()
        self._engine = sqlite_engine(file)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with named_failures(self._file), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._writers, named_failures(self._file), self._engine.connect() as connection:
            connection.execution_options(ear_teacher_write=True)
            with connection.begin():
                yield connection

    def check_writable(self, by_trying: bool = False) -> None:
        free = shutil.disk_usage(self._file.parent).free
        if free < self._reserve_bytes:
            raise GalleryReadOnly(
                f"{free >> 20} MiB are free on the disk of {self._file.parent} and {self._reserve_bytes >> 20} MiB are "
                "kept in reserve: reading and searching go on; free some space to enrol and delete again"
            )

        if by_trying:
            self._try_the_folder()
            self._try_the_file()

    def _try_the_folder(self) -> None:
        """Write a byte beside the database: a file system that became read-only lets SQLite begin, not commit."""
        try:
            with tempfile.TemporaryFile(dir=self._file.parent, buffering=0) as probe:
                probe.write(b"\0")
        except OSError as error:
            raise _read_only(self._file.parent, error.strerror or str(error)) from error

    def _try_the_file(self) -> None:
        """Begin a write and undo it, unless another one is in hand: that proves as much."""
        if not self._writers.acquire(blocking=False):
            return
        try:
            with named_failures(self._file), self._engine.connect() as connection, _at_once(connection):
                connection.execution_options(ear_teacher_write=True)
                with connection.begin() as undone:
                    connection.exec_driver_sql("PRAGMA user_version=1")
                    undone.rollback()
        finally:
            self._writers.release()

    def tidy(self) -> None:
        # The write-ahead log still holds pages as they were before a deletion overwrote them.
        with self._writers, self._engine.connect() as connection:
            execute = connection.connection.driver_connection.execute  # type: ignore[union-attr]
            execute("PRAGMA busy_timeout=0")  # while others read it cannot be emptied: later, and no write waits for it
            try:
                execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                execute(f"PRAGMA busy_timeout={BUSY_MS}")

    def close(self) -> None:
        self._engine.dispose()


def sqlite_engine(file: Path) -> Engine:
    """An engine whose transactions are SQLite's own: BEGIN for reading, BEGIN IMMEDIATE for writing."""
    connecting = {"check_same_thread": False, "timeout": 10}
    address = URL.create("sqlite", database=str(file))  # a text would end at a "?" or "#" in the path
    engine = create_engine(address, connect_args=connecting, hide_parameters=True)  # no name in a log

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # Python's driver would begin late and not lock; we begin ourselves
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("ear_teacher_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextmanager
def named_failures(file: Path) -> Iterator[None]:
    """Turn SQLite's words into ours: a full disk is a state to live with, a broken file is not."""
    try:
        yield
    except (OperationalError, DatabaseError) as error:
        words = str(error.orig)
        if any(sign in words for sign in READ_ONLY_SIGNS):
            raise _read_only(file, words) from error
        if any(sign in words for sign in CORRUPT_SIGNS):
            raise GalleryCorrupt(f"{file} cannot be read ({words}): restore it from a backup") from error
        raise


def _read_only(path: Path, words: str) -> GalleryReadOnly:
    return GalleryReadOnly(
        f"{path} cannot be written ({words}): nothing of this change was kept, reading and searching go on; "
        "free some space or make the folder writable"
    )


@contextmanager
def _at_once(connection: Connection) -> Iterator[None]:
    """Wait for no lock; one that another process holds is no error."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout=0")
    try:
        yield
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_MS}")
