"""Who trains and who validates."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from common.records.record import EarRecord
from training.data.splits import hold_out, load_splits
from training.errors import ConfigError, DataError


def test_folder_with_both_teacher_files_is_split_by_them(ears):
    splits = load_splits(ears)
    assert (len(splits.train), len(splits.val)) == (24, 12)
    assert "val_teacher.npy" in splits.how


def test_val_teacher_beside_the_training_file_is_found(ears):
    assert len(load_splits(ears / "train_teacher.npy").val) == 12


def test_validation_pictures_may_be_named(ears):
    assert len(load_splits(ears / "train_teacher.npy", ears / "val_teacher.npy").val) == 12


def test_split_column_is_obeyed(ears, tmp_path):
    shutil.copy(ears / "s0_0.png", tmp_path / "a.png")
    shutil.copy(ears / "s0_1.png", tmp_path / "b.png")
    (tmp_path / "metadata.csv").write_text("split,path,subject\ntrain,a.png,ann\nval,b.png,ben\n")
    splits = load_splits(tmp_path)
    assert [r.subject for r in splits.train] == ["ann"]
    assert [r.subject for r in splits.val] == ["ben"]


def test_subject_on_both_sides_is_refused(ears, tmp_path):
    for name in ("a.png", "b.png"):
        shutil.copy(ears / "s0_0.png", tmp_path / name)
    (tmp_path / "metadata.csv").write_text("split,path,subject\ntrain,a.png,ann\nval,b.png,ann\n")
    with pytest.raises(DataError, match=r"1 subjects are in training and in validation \(ann\)"):
        load_splits(tmp_path)


def test_subjects_are_held_out_whole_and_always_the_same_ones():
    records = [EarRecord(Path(f"{s}_{n}.png"), subject=f"s{s}") for s in range(40) for n in range(3)]
    train, val = hold_out(records, 0.2)
    assert not {r.subject for r in train} & {r.subject for r in val}
    assert 3 <= len({r.subject for r in val}) <= 15
    more = [*records, *(EarRecord(Path(f"{s}_9.png"), subject=f"s{s}") for s in range(40, 60))]
    again = {r.subject for r in hold_out(more, 0.2)[1]}
    assert {r.subject for r in val} == {s for s in again if int(str(s)[1:]) < 40}


def test_pictures_of_nobody_known_are_held_out_one_by_one():
    records = [EarRecord(Path(f"{n}.png")) for n in range(30)]
    train, val = hold_out(records, 0.3)
    assert len(train) + len(val) == 30
    assert val


@pytest.mark.parametrize("count", [2, 3])
def test_both_sides_get_someone_however_few(count):
    train, val = hold_out([EarRecord(Path(f"{n}.png")) for n in range(count)], 0.5)
    assert train
    assert val


def test_single_picture_cannot_be_split():
    with pytest.raises(DataError, match="--val"):
        hold_out([EarRecord(Path("a.png"))], 0.5)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1, 3])
def test_fraction_that_is_none_names_its_flag(ears, fraction):
    with pytest.raises(ConfigError, match="--val-fraction"):
        load_splits(ears, val_fraction=fraction)


def test_one_teacher_file_without_a_partner_is_divided(ears, tmp_path):
    for path in ears.glob("s*.png"):
        shutil.copy(path, tmp_path)
    value = np.load(ears / "train_teacher.npy", allow_pickle=True)
    np.save(tmp_path / "mine.npy", value)
    splits = load_splits(tmp_path / "mine.npy", val_fraction=0.3)
    assert len(splits.train) + len(splits.val) == 24
    assert "held out" in splits.how
