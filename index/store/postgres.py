"""The truth in PostgreSQL, for several service processes at once; the tables and statements are those of SQLite.

A commit returns after PostgreSQL's own flush (synchronous_commit). Writers of all processes stand in one line, behind
an advisory lock, so that the order of sequence numbers is the order of commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError

from index.errors import BadItem, GalleryReadOnly

WRITERS = 0x656172_7465  # the advisory lock of this application's writers
# SQLSTATEs: 25006 read-only transaction, 53 disk full and the like, 57 shutting down, 08 no connection
READ_ONLY_CLASSES = ("25006", "53", "57", "08")


class PostgresTruth:
    """See `Truth`. `url` is SQLAlchemy's: `postgresql+psycopg://user@host/database`."""

    def __init__(self, url: str, connections: int = 10) -> None:
        self._name = make_url(url).render_as_string(hide_password=True)
        self._engine = create_engine(url, pool_size=connections, pool_pre_ping=True, hide_parameters=True)
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._named_failures(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._named_failures(), self._engine.connect() as connection, connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS})
            yield connection

    def check_writable(self, by_trying: bool = False) -> None:
        with self._named_failures(), self._engine.connect() as connection:
            if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
                raise GalleryReadOnly(f"{self._name} takes no writes (a standby, or set read-only): reading goes on")

    def tidy(self) -> None:
        """PostgreSQL tidies up itself (autovacuum)."""

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise BadItem(f"PostgreSQL cannot hold or look for this text: {error.orig}") from error
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            lost = state is None and isinstance(error, OperationalError | InterfaceError)
            if lost or (state or "").startswith(READ_ONLY_CLASSES):
                raise GalleryReadOnly(
                    f"{self._name} cannot be written or reached ({one_line(error.orig)}): nothing of this change was "
                    "kept"
                ) from error
            raise


def one_line(error: BaseException | None) -> str:
    """The driver's words, which span lines, as one."""
    return " ".join(str(error).split())
