"""What a data sheet is told of a set of pictures."""

import json
from pathlib import Path

import numpy as np

from common.records.record import EarRecord
from training.data.facts import MOST_VALUES, data_facts

POINTS = np.zeros((17, 2), np.float32)


def record(n, **known):
    return EarRecord(Path(f"/secret/{n}.jpg"), **known)


def test_pictures_people_sides_boxes_and_landmarks_are_counted():
    records = [
        record(0, subject="ann", side="left", box=(0.0, 0.0, 9.0, 9.0), landmarks=POINTS),
        record(1, subject="ann", side="left"),
        record(2, subject="ben", side="right", box=(0.0, 0.0, 9.0, 9.0)),
        record(3),
    ]
    facts = data_facts(records)
    assert (facts["pictures"], facts["subjects"]) == (4, 2)
    assert facts["pictures_per_subject"] == {"least": 1, "median": 1.5, "most": 2}
    assert facts["sides"] == {"left": 2, "right": 1, "unknown": 1}
    assert (facts["with_box"], facts["with_landmarks"]) == (2, 1)


def test_no_person_and_no_path_is_named():
    told = json.dumps(data_facts([record(0, subject="ann", attributes={"skin": "II"}), record(1, subject="ben")]))
    assert "ann" not in told
    assert "secret" not in told


def test_groups_are_attributes_with_few_values_and_a_missing_one_is_unknown():
    records = [record(n, attributes={"yaw": str(n), "hair": "yes" if n % 2 else "no"}) for n in range(MOST_VALUES + 1)]
    records.append(record(99))
    assert data_facts(records)["groups"] == {"hair": {"no": 7, "unknown": 1, "yes": 6}}


def test_a_set_without_labels_has_no_subjects():
    facts = data_facts([record(0), record(1)])
    assert facts["subjects"] == 0
    assert "pictures_per_subject" not in facts
