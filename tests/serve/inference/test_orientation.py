"""The side rule as pure values."""

import pytest

from serve.inference.orientation import Probe, is_mirrored, probes, shown_side, stored_side, vector_sides


def test_only_a_right_ear_is_mirrored():
    assert [is_mirrored(side) for side in ("left", "right", "unknown")] == [False, True, False]


def test_an_unknown_query_meets_every_ear_in_both_orientations():
    for unknown_items in (False, True):
        assert probes("unknown", cross_ear=False, unknown_items=unknown_items) == (Probe(False), Probe(True))


@pytest.mark.parametrize(("side", "mirrored"), [("left", False), ("right", True)])
def test_a_known_query_meets_its_own_side_and_unknown_ears(side, mirrored):
    assert probes(side, cross_ear=False, unknown_items=False) == (Probe(mirrored, (side, None)),)


@pytest.mark.parametrize(("side", "mirrored"), [("left", False), ("right", True)])
def test_a_known_query_meets_unknown_ears_in_the_other_orientation_too(side, mirrored):
    asked = probes(side, cross_ear=False, unknown_items=True)
    assert asked == (Probe(mirrored, (side, None)), Probe(not mirrored, (None,)))


def test_cross_ear_admits_the_other_side_in_left_orientation():
    assert probes("right", cross_ear=True, unknown_items=False) == (Probe(True),)
    assert probes("right", cross_ear=True, unknown_items=True) == (Probe(True), Probe(False, (None,)))


def test_a_vector_is_searched_once():
    assert vector_sides("unknown", cross_ear=False) == ()
    assert vector_sides("left", cross_ear=False) == ("left", None)
    assert vector_sides("left", cross_ear=True) == ()


def test_unknown_is_stored_as_none_and_shown_as_unknown():
    assert [stored_side(side) for side in ("left", "right", "unknown")] == ["left", "right", None]
    assert [shown_side(side) for side in ("left", "right", None)] == ["left", "right", "unknown"]
