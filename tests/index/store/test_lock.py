"""One process owns a gallery, and the refusal names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index.errors import GalleryLocked
from index.opening import open_gallery
from index.store.lock import FolderLock
from tests.index.ears import DIM, SPACE


def test_second_owner_is_refused_with_the_first_ones_process_id(folder: Path):
    with open_gallery(folder, DIM, SPACE), pytest.raises(GalleryLocked, match=f"process {os.getpid()} "):
        open_gallery(folder, DIM, SPACE)


def test_refused_attempts_leave_the_owners_name(folder: Path):
    with open_gallery(folder, DIM, SPACE):
        for _ in range(2):
            with pytest.raises(GalleryLocked, match=f"process {os.getpid()} "):
                open_gallery(folder, DIM, SPACE)


def test_released_folder_can_be_owned_again(tmp_path: Path):
    FolderLock(tmp_path).release()
    FolderLock(tmp_path).release()


def test_failed_opening_releases_the_folder(folder: Path):
    folder.mkdir()
    (folder / "gallery.sqlite").write_bytes(b"this is no database, but it is long enough to be read as one" * 50)
    for _ in range(2):
        with pytest.raises(Exception, match="backup"):
            open_gallery(folder, DIM, SPACE)
