"""Several processes on one truth: each sees what the others have committed, and none loses or doubles anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import make_url

from index.errors import GalleryReadOnly, SpaceMismatch
from index.gallery import Gallery
from index.items import Filter
from index.store import tables
from tests.index.ears import OTHER_SPACE, SPACE, embedding, new_item
from tests.index.test_promotion import OTHER_DIM, again, dual, fill_all

pytestmark = pytest.mark.slow
Join = Callable[..., Gallery]


def ids(gallery: Gallery, asked: Filter | None = None) -> set[str]:
    return {hit.item.id for hit in gallery.search(embedding(1, 1), 1000, asked)[0]}


def test_every_change_is_seen_by_the_others_at_once(join: Join):
    one, two = join(), join()
    items = one.enrol([new_item(n) for n in range(20)])
    assert ids(two) == {item.id for item in items}
    two.delete(items[3].id)
    two.patch(items[4].id, subject="renamed")
    assert items[3].id not in ids(one)
    assert ids(one, Filter(subjects=("renamed",))) == {items[4].id}
    assert one.sequence == two.sequence


def test_promotion_in_one_process_is_learned_by_the_others(join: Join):
    one, two = join(), join()
    one.enrol([new_item(n) for n in range(15)])
    one.spaces.stage(OTHER_SPACE, OTHER_DIM)
    two.enrol([dual(40)])
    assert fill_all(two) == 15
    one.spaces.activate(OTHER_SPACE)
    with pytest.raises(SpaceMismatch):
        two.enrol([new_item(50)], space_id=SPACE)
    assert two.space_id == OTHER_SPACE
    assert len(two.search(again(embedding(1, 1)).embedding, 100)[0]) == 16
    two.spaces.rollback()
    assert len(one.search(embedding(1, 1), 100)[0]) == 16
    assert one.space_id == SPACE
    two.spaces.retire(OTHER_SPACE)
    assert [status.space.space_id for status in one.spaces.status()] == [SPACE]


def test_writers_of_many_processes_lose_and_double_nothing(join: Join):
    galleries = [join() for _ in range(3)]
    enrolled: list[str] = []

    def write(gallery: Gallery, start: int) -> None:
        for n in range(start, start + 20):
            (item,) = gallery.enrol([new_item(n)])
            if n % 4 == 0:
                gallery.delete(item.id)
            else:
                enrolled.append(item.id)

    threads = [threading.Thread(target=write, args=(g, 100 * n)) for n, g in enumerate(galleries)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(enrolled) == 45
    for gallery in galleries:
        assert ids(gallery) == set(enrolled)
        assert gallery.count() == 45
    assert ids(join()) == set(enrolled)


def test_restarted_process_replays_what_it_missed(join: Join):
    one = join()
    items = one.enrol([new_item(n) for n in range(10)])
    late = join()
    one.delete(items[0].id)
    one.enrol([new_item(n) for n in range(10, 15)])
    assert len(ids(late)) == 14


def test_migrations_make_the_described_tables(gallery: Gallery):
    with gallery._truth.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_read_only_database_is_readable_and_says_so(gallery: Gallery, url: str, server: Path):
    gallery.enrol([new_item(1)])
    name = make_url(url).username
    with psycopg.connect(f"host={server} user=ears dbname=postgres", autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on")
    gallery._truth._engine.dispose()  # type: ignore[attr-defined]
    with pytest.raises(GalleryReadOnly, match="read-only"):
        gallery.check_writable()
    with pytest.raises(GalleryReadOnly, match="read-only"):
        gallery.delete_subject("s1")
    assert len(gallery.search(embedding(1, 1), 5)[0]) == 1


def test_a_database_lost_right_after_a_commit_does_not_fail_what_it_has(
    gallery: Gallery, join: Join, monkeypatch: pytest.MonkeyPatch
):
    whole_read, whole_write = gallery._truth.read, gallery._truth.write

    def lost():
        raise GalleryReadOnly("the server went away")

    @contextmanager
    def last_write():
        with whole_write() as connection:
            yield connection
        monkeypatch.setattr(gallery._truth, "read", lost)

    monkeypatch.setattr(gallery._truth, "write", last_write)
    (item,) = gallery.enrol([new_item(1)])
    monkeypatch.setattr(gallery._truth, "read", whole_read)
    assert gallery.search(embedding(1, 1))[0][0].item.id == item.id
    assert [one.id for one in join().list().items] == [item.id]
