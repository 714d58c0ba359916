"""Backups are consistent under writes, checked before they are restored, and never mixed with another life's caches."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from index.errors import BackupRefused
from index.gallery import Gallery
from index.opening import open_gallery
from index.store.active_space import DATABASE
from index.tools.backup import MANIFEST, backup, restore
from tests.index.ears import DIM, SPACE, embedding, new_item


def test_backup_of_a_gallery_in_use_restores_to_an_equal_one(gallery: Gallery, folder: Path, tmp_path: Path):
    items = gallery.enrol([new_item(n, tags=("a",)) for n in range(30)])
    facts = backup(folder, tmp_path / "saved")
    assert (facts.items, facts.sequence, facts.spaces) == (30, gallery.sequence, (SPACE,))
    gallery.delete(items[0].id)
    assert restore(tmp_path / "saved", tmp_path / "second") == facts
    with open_gallery(tmp_path / "second", DIM, SPACE) as second:
        assert second.count() == 30
        assert second.get(items[0].id) == items[0]
        assert second.crop(items[3].id) == gallery.crop(items[3].id)
        assert second.search(embedding(1, 1), 5) == gallery.search(embedding(1, 1), 5)


def test_backup_under_writes_holds_whole_changes_only(gallery: Gallery, folder: Path, tmp_path: Path):
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            gallery.enrol([new_item(n), new_item(n + 1), new_item(n + 2)])
            n += 3

    writer = threading.Thread(target=write)
    writer.start()
    try:
        facts = [backup(folder, tmp_path / f"saved-{n}") for n in range(5)]
    finally:
        stop.set()
        writer.join()
    assert [one.items % 3 for one in facts] == [0] * 5
    assert facts[-1].items > facts[0].items
    for n, one in enumerate(facts):
        rows = sqlite3.connect(tmp_path / f"saved-{n}" / DATABASE)
        for table in ("items", "crops", "vectors"):
            assert rows.execute(f"SELECT count(*) FROM {table}").fetchone() == (one.items,)
        rows.close()


def test_snapshots_of_the_life_before_are_not_taken_for_the_restored_ones(folder: Path, tmp_path: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(5)])
        backup(folder, tmp_path / "saved")
        gallery.enrol([new_item(n) for n in range(5, 10)])
    (folder / "gallery.sqlite").unlink()
    (folder / "gallery.sqlite-wal").write_bytes(b"of the life before")
    restore(tmp_path / "saved", folder)
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(20, 25)])
        found = gallery.search(embedding(7, 7), 100)[0]
        assert len(found) == 10
        assert found[0].similarity < 0.9999


def test_existing_gallery_is_not_overwritten(gallery: Gallery, folder: Path, tmp_path: Path):
    backup(folder, tmp_path / "saved")
    with pytest.raises(BackupRefused, match="already holds"):
        restore(tmp_path / "saved", folder)
    with pytest.raises(BackupRefused, match="exists"):
        backup(folder, tmp_path / "saved")


def test_folder_without_a_gallery_cannot_be_backed_up(tmp_path: Path):
    with pytest.raises(BackupRefused, match="holds no gallery"):
        backup(tmp_path, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("damage", ["bit", "manifest", "database", "format"])
def test_damaged_backup_is_not_restored(gallery: Gallery, folder: Path, tmp_path: Path, damage: str):
    saved = tmp_path / "saved"
    backup(folder, saved)
    if damage == "bit":
        data = bytearray((saved / DATABASE).read_bytes())
        data[-1] ^= 1
        (saved / DATABASE).write_bytes(bytes(data))
    elif damage == "format":
        text = (saved / MANIFEST).read_text()
        (saved / MANIFEST).write_text(text.replace('"format": 1', '"format": 2'))
    else:
        (saved / (MANIFEST if damage == "manifest" else DATABASE)).unlink()
    with pytest.raises(BackupRefused):
        restore(saved, tmp_path / "second")
    assert not (tmp_path / "second" / DATABASE).exists()


def test_damaged_gallery_gives_no_backup(folder: Path, tmp_path: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(200)])
    data = bytearray((folder / DATABASE).read_bytes())
    data[8192:12288] = b"\xff" * 4096
    (folder / DATABASE).write_bytes(bytes(data))
    with pytest.raises(BackupRefused, match="damaged"):
        backup(folder, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    assert not [path for path in tmp_path.iterdir() if "writing" in path.name]
