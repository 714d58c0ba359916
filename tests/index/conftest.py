"""A gallery folder for each test, and ears to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from index.gallery import Gallery
from index.opening import open_gallery
from tests.index.ears import DIM, SPACE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def gallery(folder: Path) -> Iterator[Gallery]:
    with open_gallery(folder, DIM, SPACE) as opened:
        yield opened
