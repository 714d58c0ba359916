"""A whole bundle for every test: one shared that nobody changes, one copy to break."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundle.bundles import make_bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle that no test may change; `copied` gives one that it may."""
    folder = tmp_path_factory.mktemp("bundles") / "thumbnail"
    make_bundle(folder)
    return folder


@pytest.fixture
def copied(bundle_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for file in bundle_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
