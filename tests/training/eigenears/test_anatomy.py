"""Whether a component shows the ear or the light, on data where the answer is known."""

from pathlib import Path

import numpy as np

from common.records.record import EarRecord
from training.data.crops import Framed
from training.eigenears.anatomy import anatomy, appearance, held_out_r2, one_hot, pose_of


def _data(count=300, people=30, seed=0):
    """Shape, brightness and pose that vary on their own; three components that follow one of them each."""
    rng = np.random.default_rng(seed)
    shape = 0.5 + 0.05 * rng.normal(size=(count, 4, 2))
    light = rng.uniform(60, 180, count)
    yaw = rng.normal(0, 10, count)
    shape[:, :, 0] += 0.01 * yaw[:, None]
    items, records = [], []
    for n in range(count):
        crop = np.clip(light[n] + rng.normal(0, 5, (16, 16, 3)), 0, 255).astype(np.uint8)
        items.append(Framed(crop, shape[n].astype(np.float32), np.ones(4, np.float32)))
        turn = {"yaw": str(yaw[n]), "pitch": str(rng.normal()), "roll": str(rng.normal()), "light": "sun"}
        records.append(EarRecord(Path("x"), subject=f"s{n % people}", attributes=turn))
    scores = np.c_[shape[:, 1, 1] * 20, light / 30, yaw / 10] + 0.1 * rng.normal(size=(count, 3))
    return scores, items, records


def test_each_component_is_traced_to_what_it_follows():
    scores, items, records = _data()
    found = anatomy(scores, items, records)
    assert found is not None
    assert found.pose is not None
    assert found.shape is not None
    assert found.shape[0] > 0.9
    assert found.appearance[1] > 0.9
    assert found.pose[2] > 0.9
    assert max(found.shape[1], found.shape[2]) < 0.2  # pose moves landmarks, and is taken out
    assert max(found.appearance[0], found.appearance[2]) < 0.2


def test_shape_that_only_pose_explains_is_not_anatomy():
    scores, items, records = _data()
    bare = [EarRecord(r.path, subject=r.subject) for r in records]
    found = anatomy(scores, items, bare)
    assert found is not None
    assert found.pose is None
    assert found.shape is not None
    assert found.shape[2] > 0.3  # without the angles it would pass for shape


def test_chance_does_not_explain_people_who_were_held_out():
    rng = np.random.default_rng(0)
    people = np.array([f"s{n // 5}" for n in range(100)])
    found = held_out_r2(rng.normal(size=(100, 30)), rng.normal(size=(100, 2)), people)
    assert (found < 0.15).all()


def test_light_and_pose_are_explained_without_landmarks_and_too_few_people_give_no_answer():
    scores, items, records = _data()
    blind = [Framed(item.crop, np.zeros((0, 2), np.float32), np.zeros(0, np.float32)) for item in items]
    found = anatomy(scores, blind, records)
    assert found is not None
    assert found.pose is not None
    assert found.shape is None
    assert found.appearance[1] > 0.9
    assert found.pose[2] > 0.9
    few = [EarRecord(r.path, subject="one") for r in records]
    assert anatomy(scores, items, few) is None


def test_pictures_with_unknown_landmarks_are_left_out():
    scores, items, records = _data()
    for n in range(0, 300, 2):
        items[n] = Framed(items[n].crop, np.zeros((4, 2), np.float32), np.zeros(4, np.float32))
    found = anatomy(scores, items, records)
    assert found is not None
    assert found.shape is not None
    assert found.shape[0] > 0.9


def test_pose_turns_with_a_mirrored_ear():
    told = {"yaw": "10", "pitch": "5", "roll": "-3"}
    angles = pose_of([EarRecord(Path("x"), side=side, attributes=told) for side in ("left", "right")])
    assert angles is not None
    np.testing.assert_allclose(angles, [[10, 5, -3], [-10, 5, 3]])
    assert pose_of([EarRecord(Path("x"))]) is None


def test_appearance_and_categories_are_small_tables():
    assert appearance(np.zeros((8, 8, 3), np.uint8)).shape == (7,)
    np.testing.assert_array_equal(one_hot(["b", None, "a"]), [[0, 1], [0, 0], [1, 0]])
    assert one_hot([None, None]).shape == (2, 0)
