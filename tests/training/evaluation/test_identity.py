"""Slices, sides and strangers on vectors whose figures are known."""

from pathlib import Path

import numpy as np
import pytest

from common.records.record import EarRecord
from measure.protocol import evaluate
from training.errors import ConfigError
from training.evaluation.choice import slice_columns
from training.evaluation.identity import (
    by_side_knowledge,
    calibration,
    open_figures,
    sliced,
    summary,
    with_intervals,
)


def _people(count=8, pictures=5, noise=0.3, dim=16, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, dim))
    vectors = centres.repeat(pictures, 0) + rng.normal(0, noise, (count * pictures, dim))
    return vectors.astype(np.float32), [f"s{n}" for n in range(count) for _ in range(pictures)]


def test_intervals_hold_the_figure():
    vectors, subjects = _people(noise=0.9)
    found = with_intervals(vectors, subjects, samples=50)
    assert found["rank1"] == evaluate(vectors, subjects).rank1
    low, high = found["intervals"]["rank1"]
    assert low <= found["rank1"] <= high
    assert low < high


def test_slice_of_the_person_divides_gallery_and_queries():
    vectors, subjects = _people()
    records = [
        EarRecord(Path(f"{n}.png"), subject=s, attributes={"appearance": "fixed" if int(s[1:]) < 4 else "random"})
        for n, s in enumerate(subjects)
    ]
    rows = {row["value"]: row for row in sliced(vectors, slice_columns(records), subjects)}
    assert set(rows) == {"fixed", "random"}
    alone = evaluate(vectors[:20], subjects[:20])
    assert rows["fixed"]["of"] == "person"
    assert rows["fixed"]["eer"] == alone.eer
    assert rows["fixed"]["subjects"] == 4


def test_slice_of_the_picture_keeps_the_gallery_whole():
    vectors, subjects = _people(noise=0.1)
    hard = [n % 5 == 4 for n in range(len(subjects))]
    vectors[hard] = np.random.default_rng(1).normal(size=(sum(hard), 16))
    records = [
        EarRecord(Path(f"{n}.png"), subject=s, attributes={"occluded": str(int(h))})
        for n, (s, h) in enumerate(zip(subjects, hard, strict=True))
    ]
    rows = {row["value"]: row for row in sliced(vectors, slice_columns(records), subjects)}
    assert rows["0"]["rank1"] == 1.0
    assert rows["1"]["rank1"] < 0.8
    assert rows["1"]["queries"] == 8
    assert rows["0"]["of"] == "picture"


def test_pose_is_sliced_by_its_size():
    def turned(yaw, pitch):
        return EarRecord(Path("x"), attributes={"yaw": str(yaw), "pitch": str(pitch), "roll": "0"})

    found = slice_columns([turned(-20, 1), turned(3, -2), turned(2, 12), EarRecord(Path("x"))])
    assert found["pose"] == ["over 16 degrees", "under 8 degrees", "8 to 16 degrees", None]


def test_what_does_not_vary_is_no_slice():
    assert slice_columns([EarRecord(Path("x"), side="left"), EarRecord(Path("y"), side="left")]) == {}


def test_not_knowing_the_side_costs_nothing_where_mirror_images_are_told_apart():
    vectors, subjects = _people(noise=0.05)
    mirrored = _people(noise=0.05, seed=9)[0]
    sides = ["left" if n % 2 else "right" for n in range(len(subjects))]
    found = by_side_knowledge(vectors, mirrored, sides, subjects)
    assert found["known"]["rank1"] == 1.0
    assert found["unknown"]["rank1"] == 1.0


def test_unknown_side_searches_both_orientations_and_keeps_the_better():
    """A right ear posted against a left gallery: only its mirror image matches."""
    rng = np.random.default_rng(0)
    left = rng.normal(size=(4, 8)).repeat(3, 0).astype(np.float32)
    mirrored = rng.normal(size=(4, 8)).repeat(3, 0).astype(np.float32)
    subjects = [f"s{n}" for n in range(4) for _ in range(3)]
    sides = ["left", "left", "right"] * 4
    assert by_side_knowledge(left, mirrored, sides, subjects)["unknown"]["rank1"] == 1.0


def test_calibration_and_open_set_are_plain_numbers():
    vectors, subjects = _people(count=40)
    found = calibration(vectors, subjects)
    assert found.probability(0.99) > 0.9
    assert found.probability(0.0) < 0.1
    strangers = open_figures(vectors, subjects)
    assert strangers["enrolled"] == strangers["strangers"] == 20
    assert strangers["dir_at_fpir_0.1"] > 0.9
    assert set(summary(evaluate(vectors, subjects))) >= {"rank1", "eer", "queries"}


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_of_a_slice_are_left_out(count):
    vectors, subjects = _people(count=3)
    records = [
        EarRecord(Path("x"), subject=s, attributes={"light": "sun" if n < count else "lamp"})
        for n, s in enumerate(subjects)
    ]
    assert [row["value"] for row in sliced(vectors, slice_columns(records), subjects)] == ["lamp"]


def test_any_column_with_few_values_is_a_slice_and_may_be_asked_for_by_name():
    records = [EarRecord(Path("x"), attributes={"overlap": str(n % 3), "camera": str(n)}) for n in range(30)]
    assert set(slice_columns(records)) == {"overlap"}
    assert set(slice_columns(records, ["camera"])) == {"camera"}
    with pytest.raises(ConfigError, match="--slice lens: the data has no such column; it has camera, overlap, side"):
        slice_columns(records, ["lens"])
