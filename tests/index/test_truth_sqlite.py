"""What the gallery does when its disk is full or its file is broken, with the operating system's own refusals."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from index.config import GalleryConfig
from index.errors import GalleryCorrupt, GalleryReadOnly
from index.gallery import Gallery, open_gallery
from index.items import NewItem
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


def test_file_is_an_ordinary_sqlite_database(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(5)])
    assert sqlite3.connect(folder / "gallery.sqlite").execute("SELECT count(*) FROM items").fetchone() == (5,)
