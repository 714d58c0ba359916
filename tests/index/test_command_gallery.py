"""`ear-teacher gallery`: what each sub-verb says and does, beside a running owner or in its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.command_gallery import main
from index.errors import GalleryCorrupt, GalleryLocked
from index.gallery import Gallery
from index.items import Item
from index.opening import open_gallery
from tests.index.ears import DIM, SPACE, new_item


@pytest.fixture
def items(gallery: Gallery) -> list[Item]:
    return gallery.enrol([new_item(n, side="left", tags=("t",) if n % 2 else ()) for n in range(12)])


def said(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([str(word) for word in argv]) == 0
    return capsys.readouterr().out


def test_stats_are_read_beside_the_owner(items, gallery: Gallery, folder: Path, capsys):
    text = said(capsys, "stats", folder)
    assert "12 items of 10 subjects" in text
    assert "not saved yet" in text
    gallery.save()
    facts = json.loads(said(capsys, "stats", folder, "--json"))
    assert (facts["items"], facts["sequence"], facts["spaces"][0]["items"]) == (12, 13, 12)  # the space is a change
    assert facts["spaces"][0]["snapshot"]["kind"] == "exact"


def test_list_filters_and_speaks_json(items: list[Item], folder: Path, capsys):
    lines = said(capsys, "list", folder).splitlines()
    assert [line.split("\t")[0] for line in lines] == [item.id for item in items]
    tagged = said(capsys, "list", folder, "--tag", "t", "--subject", "s1", "--side", "left", "--json").splitlines()
    assert [json.loads(line)["id"] for line in tagged] == [items[1].id, items[11].id]
    assert said(capsys, "list", folder, "--side", "unknown") == ""
    assert len(said(capsys, "list", folder, "--limit", 3).splitlines()) == 3


@pytest.mark.parametrize("way", ["backup", "export"])
def test_saved_gallery_is_restored(items: list[Item], folder: Path, tmp_path: Path, capsys, way: str):
    assert "12 items" in said(capsys, way, folder, tmp_path / "saved")
    assert "12 items restored" in said(capsys, "restore", tmp_path / "again", tmp_path / "saved")
    with open_gallery(tmp_path / "again", DIM, SPACE) as again:
        assert again.get(items[4].id).subject == "s4"


def test_gallery_in_use_is_not_changed_by_another_process(items, folder: Path):
    with pytest.raises(GalleryLocked):
        main(["delete", str(folder), "--subject", "s1"])


def test_delete_duplicates_and_recall_own_the_gallery(folder: Path, capsys):
    with open_gallery(folder, DIM, SPACE) as gallery:
        items = gallery.enrol([new_item(n) for n in (0, 1, 2, 1)])
    assert said(capsys, "duplicates", folder, "--threshold", "0.999").split("\t")[1:3] == ["same picture", items[1].id]
    assert "recall@10 1.0000 on 4 of 4" in said(capsys, "recall", folder)
    assert "3 items deleted" in said(capsys, "delete", folder, "--id", items[0].id, "--subject", "s1")
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert [item.id for item in gallery.list().items] == [items[2].id]


@pytest.mark.parametrize("verb", ["stats", "list", "recall"])
def test_folder_without_a_gallery_is_named_and_stays_empty(tmp_path: Path, verb: str):
    with pytest.raises(GalleryCorrupt, match=tmp_path.name):
        main([verb, str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
