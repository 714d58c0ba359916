"""Neighbours in Milvus (Lite): the contract of neighbours, and a gallery that keeps them together with PostgreSQL."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from index.ann.milvus_neighbours import MilvusNeighbours
from index.gallery import Gallery
from index.opening import open_milvus_gallery
from tests.index import test_neighbours
from tests.index.ears import DIM, SPACE, embedding, new_item

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

globals().update(
    {
        name: test
        for name, test in vars(test_neighbours).items()
        if name.startswith("test_") and "neighbours" in inspect.signature(test).parameters
    }
)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "milvus.db")


@pytest.fixture
def neighbours(address: str) -> Iterator[MilvusNeighbours]:
    client = MilvusClient(address)
    yield MilvusNeighbours(client, "ears", DIM)
    client.close()


def open_one(url: str, address: str) -> Gallery:
    return open_milvus_gallery(url, DIM, SPACE, address)


def test_gallery_finds_in_milvus_what_postgres_holds(url: str, address: str):
    with open_one(url, address) as gallery:
        items = gallery.enrol([new_item(n) for n in range(30)])
        gallery.delete(items[3].id)
        gallery.patch(items[4].id, subject='quote " and \\ backslash')
        assert gallery.search(embedding(4, 4))[0][0].item.subject == 'quote " and \\ backslash'
        assert len(gallery.search(embedding(3, 3), 100)[0]) == 29
        assert gallery.spaces.status()[0].index[:3] == ("milvus", 0, 29)
        assert gallery.spaces.measure_recall(sample=10).recall == 1.0


def test_what_a_dead_process_did_not_tell_milvus_the_next_one_does(
    url: str, address: str, monkeypatch: pytest.MonkeyPatch
):
    with open_one(url, address) as gallery:
        items = gallery.enrol([new_item(n) for n in range(10)])
        monkeypatch.setattr(gallery._replication, "publish", lambda directly: None)  # it dies right after its commits
        late = gallery.enrol([new_item(77)])
        gallery.delete(items[0].id)
    with open_one(url, address) as gallery:
        found = {hit.item.id for hit in gallery.search(embedding(7, 77), 100)[0]}
        assert found == {item.id for item in [*items[1:], *late]}


def test_lost_collection_is_filled_again(url: str, address: str, tmp_path: Path):
    with open_one(url, address) as gallery:
        gallery.enrol([new_item(n) for n in range(10)])
    with open_one(url, str(tmp_path / "another.db")) as gallery:
        assert len(gallery.search(embedding(1, 1), 100)[0]) == 10
