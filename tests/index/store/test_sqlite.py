"""What the gallery does when its disk is full or its file is broken, with the operating system's own refusals."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from index.config import GalleryConfig
from index.errors import GalleryCorrupt, GalleryReadOnly
from index.gallery import Gallery
from index.items import NewItem
from index.opening import open_gallery
from index.store.postgres import PostgresTruth
from tests.index.ears import DIM, SPACE, embedding, new_item


@contextmanager
def files_at_most(size_bytes: int) -> Iterator[None]:
    """Let the kernel refuse to make any file larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def large_item(n: int) -> NewItem:
    item = new_item(n)
    return NewItem(np.random.default_rng(n).bytes(200_000), item.mu, item.embedding)


def test_full_disk_leaves_the_gallery_readable_and_says_so(gallery: Gallery, folder: Path):
    kept = gallery.enrol([new_item(n) for n in range(20)])
    with files_at_most(1 << 20):
        with pytest.raises(GalleryReadOnly, match="free some space"):
            kept.extend(item for n in range(20) for item in gallery.enrol([large_item(100 + n)]))
        assert gallery.count() == len(kept)
        assert gallery.search(embedding(3, 3))[0][0].item.id == kept[3].id
    gallery.enrol([large_item(200)])
    assert gallery.count() == len(kept) + 1


def test_reserve_refuses_enrolment_before_the_disk_is_full_but_not_deletion(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        items = gallery.enrol([new_item(n) for n in range(3)])
    with open_gallery(folder, DIM, SPACE, GalleryConfig(reserve_bytes=1 << 60)) as gallery:
        with pytest.raises(GalleryReadOnly, match="MiB"):
            gallery.check_writable()
        with pytest.raises(GalleryReadOnly, match="MiB"):
            gallery.enrol([new_item(9)])
        gallery.delete(items[0].id)
        assert gallery.count() == 2


def test_file_system_that_takes_no_byte_is_told_before_anyone_enrols(gallery: Gallery, folder: Path):
    gallery.enrol([new_item(1)])
    before = sorted(folder.iterdir())
    with files_at_most(0), pytest.raises(GalleryReadOnly, match="make the folder writable"):
        gallery.check_writable()
    gallery.check_writable()
    assert sorted(folder.iterdir()) == before


def test_database_that_takes_no_write_is_told_before_anyone_enrols(gallery: Gallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("index.store.sqlite.PRAGMAS", ("query_only=ON",))
    gallery._truth.close()  # its connections are opened anew
    with pytest.raises(GalleryReadOnly, match="readonly database"):
        gallery.check_writable()
    with pytest.raises(GalleryReadOnly, match="readonly database"):
        gallery.enrol([new_item(1)])
    assert gallery.count() == 0
    gallery._truth.close()


def test_writer_at_work_is_neither_waited_for_nor_taken_for_a_failure(gallery: Gallery, folder: Path):
    with gallery._truth.write():
        gallery.check_writable()
    with closing(sqlite3.connect(folder / "gallery.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        gallery.check_writable()
        assert time.monotonic() - began < 1
        other.execute("ROLLBACK")
    gallery.check_writable()
    gallery.enrol([new_item(1)])
    with gallery._truth.read() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000
        assert connection.exec_driver_sql("PRAGMA user_version").scalar() == 0


def test_broken_database_is_named_and_a_backup_recommended(folder: Path):
    open_gallery(folder, DIM, SPACE).close()
    file = folder / "gallery.sqlite"
    file.write_bytes(b"\0" * 100 + file.read_bytes()[100:])
    with pytest.raises(GalleryCorrupt, match="backup"):
        open_gallery(folder, DIM, SPACE)


def test_every_connection_commits_to_the_disk_and_overwrites_what_is_deleted(gallery: Gallery):
    with gallery._truth.write() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert values == ["wal", 2, 1, 1]


def test_deleted_ear_is_not_in_the_database_file(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        items = gallery.enrol([new_item(n) for n in range(50)])
        gallery.delete(items[7].id)
    data = (folder / "gallery.sqlite").read_bytes()
    assert b"picture 8" in data
    assert b"picture 7" not in data
    assert embedding(7, 7).tobytes() not in data


def test_failed_write_changes_nothing(gallery: Gallery):
    def half() -> None:
        with gallery._truth.write() as connection:
            connection.exec_driver_sql("DELETE FROM items")
            raise ZeroDivisionError

    gallery.enrol([new_item(1)])
    before = gallery.sequence
    with pytest.raises(ZeroDivisionError):
        half()
    assert (gallery.count(), gallery.sequence) == (1, before)


def test_failure_of_a_statement_names_no_person(gallery: Gallery):
    """Whoever logs the exception must not log a subject."""
    with pytest.raises(OperationalError) as failed, gallery._truth.write() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:subject)"), {"subject": "anna"})
    assert "nowhere" in str(failed.value)
    assert "anna" not in str(failed.value)
    assert PostgresTruth("postgresql+psycopg://ears@db/ears")._engine.hide_parameters


def test_file_is_an_ordinary_sqlite_database(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(5)])
    assert sqlite3.connect(folder / "gallery.sqlite").execute("SELECT count(*) FROM items").fetchone() == (5,)
