"""Every schema that was ever written can be opened, and the migrations make what `tables.py` describes."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from index import tables
from index.errors import GalleryCorrupt
from index.gallery import Gallery, open_gallery
from index.schema import migrate
from index.truth_sqlite import SqliteTruth
from tests.index.ears import DIM, SPACE


def test_migrations_make_the_described_tables(gallery: Gallery):
    with gallery._truth.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        inspector = inspect(connection)
        for table in tables.metadata.sorted_tables:
            made = {index["name"] for index in inspector.get_indexes(table.name)}
            assert made == {index.name for index in table.indexes}


def test_migrating_twice_changes_nothing(tmp_path: Path):
    truth = SqliteTruth(tmp_path / "x.sqlite")
    for _ in range(2):
        with truth.write() as connection:
            migrate(connection)
    truth.close()


def test_failed_migration_leaves_no_tables(tmp_path: Path):
    truth = SqliteTruth(tmp_path / "x.sqlite")

    def half() -> None:
        with truth.write() as connection:
            migrate(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    with truth.read() as connection:
        assert inspect(connection).get_table_names() == []
    truth.close()


def test_schema_of_a_newer_version_is_refused(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery, gallery._truth.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(GalleryCorrupt, match="9999"):
        open_gallery(folder, DIM, SPACE)
