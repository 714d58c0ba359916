"""Every schema that was ever written can be opened, and the migrations make what `tables.py` describes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from index.errors import GalleryCorrupt
from index.gallery import Gallery
from index.items import Filter
from index.opening import open_gallery
from index.store import tables
from index.store.schema import MIGRATIONS, begin_ledger, migrate
from index.store.sqlite import SqliteTruth
from tests.index.ears import DIM, SPACE, embedding, new_item


def test_migrations_make_the_described_tables(gallery: Gallery):
    with gallery._truth.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        inspector = inspect(connection)
        for table in tables.metadata.sorted_tables:
            made = {index["name"] for index in inspector.get_indexes(table.name)}
            assert made == {index.name for index in table.indexes}


ROWS_OF_0001 = (
    "INSERT INTO ledger VALUES (1, 'e', 7, 4, 6)",
    f"INSERT INTO spaces VALUES ('{SPACE}', {DIM}, 'active', '2026-01-02T03:04:05.000+00:00')",
    "INSERT INTO items VALUES (1, 'ear_1', 1, 'anna', 'left', '[\"a\"]', 'a.png', 'ff', '2026-01-02', 1, 2, 3, 4)",
    "INSERT INTO items VALUES (3, 'ear_3', 7, NULL, NULL, '[]', NULL, 'ee', '2026-01-02', NULL, NULL, NULL, NULL)",
    "INSERT INTO item_tags VALUES ('a', 1)",
    "INSERT INTO crops VALUES (1, x'01'), (3, x'03')",
    "INSERT INTO tombstones VALUES (2, 6)",
)


def test_gallery_of_schema_0001_is_opened_with_all_that_it_holds(folder: Path):
    folder.mkdir()
    truth = SqliteTruth(folder / "gallery.sqlite")
    with truth.write() as connection:
        migrate(connection, "0001")
        for statement in ROWS_OF_0001:
            connection.exec_driver_sql(statement)
        for key in (1, 3):
            values = (key, SPACE, key, embedding(key, key).tobytes(), embedding(key, key).tobytes())
            connection.exec_driver_sql("INSERT INTO vectors VALUES (?, ?, ?, ?, ?)", values)
    truth.close()
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert (gallery.count(), gallery.sequence) == (2, 7)
        assert gallery.search(embedding(1, 1))[0][0].item == gallery.get("ear_1")
        assert gallery.count(Filter(tags=("a",))) == gallery.count(Filter(sides=(None,))) == 1
        (status,) = gallery.spaces.status()
        assert status.space.activated == "2026-01-02T03:04:05.000+00:00"
        gallery.enrol([new_item(5)])
        assert gallery.count() == 3


def go_back(connection: Connection, version: str, *later_tables: str) -> None:
    """Make the database what an earlier version left."""
    for table in later_tables:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (version,))


def test_gallery_of_schema_0002_is_opened_with_all_that_it_holds(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        (item,) = gallery.enrol([new_item(1)])
        with gallery._truth.write() as connection:
            go_back(connection, "0002", "watermarks", "calibrations", "means")
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert gallery.search(embedding(1, 1))[0][0].item == item


def test_gallery_of_schema_0003_is_opened_and_its_names_are_composed(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        kept, old, tagged = gallery.enrol([new_item(1, "Zoë"), new_item(2, "Anna"), new_item(3, None)])
        with gallery._truth.write() as connection:
            go_back(connection, "0003", "calibrations", "means")
            update = "UPDATE items SET subject = ?, tags = ?, source = ? WHERE id = ?"
            connection.exec_driver_sql(update, ("Zoe\u0308", "[]", " a\u0308.png", old.id))
            connection.exec_driver_sql(update, (None, '["e\u0301t\u00e9", "\u00e9t\u00e9"]', None, tagged.id))
            key = connection.exec_driver_sql("SELECT key FROM items WHERE id = ?", (tagged.id,)).scalar()
            for tag in ("e\u0301t\u00e9", "\u00e9t\u00e9"):
                connection.exec_driver_sql("INSERT INTO item_tags VALUES (?, ?)", (tag, key))
        before = gallery.sequence
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert gallery.get(kept.id) == kept
        assert gallery.get(old.id).source == "\u00e4.png"
        assert gallery.get(tagged.id).tags == ("\u00e9t\u00e9",)
        assert gallery.count(Filter(tags=("e\u0301t\u00e9",))) == 1
        assert gallery.sequence == before + 2
        assert gallery.search(embedding(2, 2), filter=Filter(subjects=("Zoe\u0308",)))[0][0].item.id == old.id
        assert gallery.delete_subject("Zoe\u0308") == 2


def test_every_migration_has_a_test_that_opens_what_it_made():
    """A new migration needs a test like the one above for the schema that was the newest until now."""
    scripts = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    tested = [name for name in globals() if name.startswith("test_gallery_of_schema_")]
    assert [name.split("_")[4] for name in tested] == scripts[:-1]


def test_migrating_twice_changes_nothing(tmp_path: Path):
    truth, dumps = SqliteTruth(tmp_path / "x.sqlite"), []
    for _ in range(2):
        with truth.write() as connection:
            migrate(connection)
            begin_ledger(connection)
        with closing(sqlite3.connect(tmp_path / "x.sqlite")) as copy:
            dumps.append(list(copy.iterdump()))
    truth.close()
    assert dumps[0] == dumps[1]
    assert sum("CREATE TABLE" in line for line in dumps[0]) == len(tables.metadata.tables) + 1  # Alembic's own too


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
