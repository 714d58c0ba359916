"""A real PostgreSQL server and a Milvus, and galleries on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from index.gallery import Gallery
from index.opening import open_shared_gallery
from tests.index.ears import DIM, SPACE
from tests.stores import milvus, new_database, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The folder of a running server's socket."""
    with postgres() as folder:
        yield folder


@pytest.fixture
def url(server: Path) -> str:
    return new_database(server)


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with milvus(tmp_path_factory.mktemp("milvus")) as address:
        yield address


@pytest.fixture
def join(url: str, tmp_path: Path) -> Iterator[Callable[..., Gallery]]:
    """Opens one more gallery on the same database, as another process would."""
    opened: list[Gallery] = []

    def one_more(dim: int = DIM, space_id: str = SPACE) -> Gallery:
        opened.append(open_shared_gallery(url, dim, space_id, tmp_path / f"cache-{len(opened)}"))
        return opened[-1]

    yield one_more
    for gallery in opened:
        gallery.close()


@pytest.fixture
def gallery(join: Callable[..., Gallery]) -> Gallery:
    return join()
