"""The demo ears: small, split by subject, and the same in both formats."""

from pathlib import Path

import numpy as np

from demo.chain import EARS, validation_records
from demo.make_ears import PEOPLE
from training.data.records import load_records

LIMIT_BYTES = 6_000_000


def test_they_are_small_enough_to_clone():
    assert sum(path.stat().st_size for path in EARS.rglob("*") if path.is_file()) <= LIMIT_BYTES


def test_nobody_is_in_training_and_validation():
    people = {
        split: {record.subject for record in load_records(EARS / "metadata.csv", split=split)} for split in PEOPLE
    }
    assert {split: len(subjects) for split, subjects in people.items()} == PEOPLE
    assert not people["train"] & people["val"]


def test_the_table_and_the_teacher_files_tell_the_same():
    for split in PEOPLE:
        table = load_records(EARS / "metadata.csv", split=split)
        teacher = load_records(EARS / f"{split}_teacher.npy")
        assert len(table) == len(teacher)
        for row, item in zip(table, teacher, strict=True):
            assert (row.path.name, row.subject, row.side) == (item.path.name, item.subject, item.side)
            np.testing.assert_allclose(row.box, item.box, atol=0.06)
            np.testing.assert_allclose(row.landmarks, item.landmarks, atol=0.06)


def test_every_picture_is_there():
    assert all(Path(record.path).is_file() for record in load_records(EARS / "metadata.csv"))


def test_each_validation_person_has_pictures_to_enrol_and_to_search_with():
    subjects = [record.subject for record in validation_records()]
    assert {subjects.count(subject) for subject in subjects} == {8}
