"""The files of a set."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from synth.pictures.picture import Ear, Picture
from synth.records import columns, rows, splits, write_lists, write_metadata

EAR = Ear("left", (1.0, 2.0, 30.0, 40.0), np.arange(34.0).reshape(17, 2), np.ones(17, int), 0.05)


def picture(ears: tuple[Ear, ...], subject: str = "s1_0000") -> Picture:
    return Picture(
        subject, f"{subject}_00", b"", ears, {"yaw": 1.5, "light": "sun", "appearance": "fixed", "taken_px": 40.0}
    )


def test_a_row_has_a_cell_for_every_column() -> None:
    for ears in ((), (EAR,), (EAR, EAR)):
        table = rows(picture(ears), "crops", "train")
        assert len(table) == max(len(ears), 1)
        assert all(len(row) == len(columns()) for row in table)


def test_columns_start_as_the_demo_ears_do() -> None:
    assert columns()[:10] == ["split", "subject", "image", "path", "appearance", "side", "x1", "y1", "x2", "y2"]
    assert columns()[23:26] == ["helix_root_x", "helix_root_y", "helix_root_vis"]


def test_the_last_people_are_for_validation_and_nobody_is_in_both() -> None:
    names = [f"s1_{k:04d}" for k in range(10)]
    split = splits(names, 0.2)
    assert [name for name in names if split[name] == "val"] == names[8:]


def test_files_can_be_read_back(tmp_path: Path) -> None:
    table = rows(picture((EAR,)), "crops", "train") + rows(picture((EAR,), "s1_0001"), "crops", "val")
    write_metadata(tmp_path / "metadata.csv", table)
    write_lists(tmp_path, table)
    with (tmp_path / "metadata.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [row["split"] for row in read] == ["train", "val"]
    assert float(read[0]["concha_centre_y"]) == 33
    held = np.load(tmp_path / "train_teacher.npy", allow_pickle=True).item()
    assert held["image_paths"] == ["crops/s1_0000_00.jpg"]
    assert held["bboxes"] == [[1.0, 2.0, 30.0, 40.0]]
    assert np.array(held["landmarks"]).shape == (1, 17, 2)
    assert not list(tmp_path.glob("*.partial*"))
