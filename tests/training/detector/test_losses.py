"""What both stages are to say, and what an error costs."""

import math

import pytest
import torch

from training.detector.heads import UNIT_PX, Coarse, Fine
from training.detector.losses import coarse_terms, fine_terms, focal, target_box, target_heat

BOX = torch.tensor([[[200.0, 100, 264, 228]]])
ONE = torch.ones(1, 1)


def perfect(grid=20):
    heat = target_heat(BOX, ONE, grid)[0]
    cells = (torch.arange(grid) + 0.5) * 640 / grid
    across, down = torch.meshgrid(cells, cells, indexing="xy")
    offset = torch.stack([232 - across, 164 - down])[None] / UNIT_PX
    size = torch.tensor([0.0, math.log(2.0)]).view(1, 2, 1, 1).expand(1, 2, grid, grid)
    logits = torch.where(heat >= 1, 12.0, -12.0)
    return Coarse(logits, offset, size, torch.full((1, grid, grid), 12.0))


def test_the_heat_is_one_in_the_cell_of_the_centre():
    heat = target_heat(BOX, ONE, 20)[0, 0]
    assert heat[164 // 32, 232 // 32] == 1
    assert (heat == 1).sum() == 1


def test_an_absent_ear_leaves_no_heat():
    assert target_heat(BOX, torch.zeros(1, 1), 20).sum() == 0


def test_a_perfect_first_look_costs_next_to_nothing():
    terms = coarse_terms(perfect(), BOX, ONE, ONE)
    assert all(float(value) < 1e-3 for value in terms.values())


@pytest.mark.parametrize(("part", "term"), [("offset", "first_box"), ("size", "first_box"), ("side", "first_side")])
def test_each_error_of_the_first_look_costs(part, term):
    said = perfect()
    wrong = said._replace(**{part: -getattr(said, part) - 1})
    assert float(coarse_terms(wrong, BOX, ONE, ONE)[term]) > 0.5


def test_a_false_alarm_costs_in_a_picture_without_ears():
    nothing = torch.zeros(1, 20, 20)
    quiet, loud = torch.full((1, 20, 20), -9.0), torch.full((1, 20, 20), -9.0)
    loud[0, 3, 3] = 6
    assert focal(loud, nothing) > focal(quiet, nothing) + 1


def fine(points, box):
    return Fine(torch.zeros(2, 1, 8, 8), points, torch.zeros(2, 1), box, torch.zeros(2), torch.zeros(2))


def test_what_is_no_ear_teaches_neither_landmarks_nor_box():
    points = torch.rand(2, 5, 2)
    weights, visible, labels = torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2, 3)
    terms = fine_terms(fine(torch.rand(2, 1, 2), torch.rand(2, 4)), points, weights, visible, labels)
    assert [float(terms[name]) for name in ("landmark", "heat", "box", "mirrored", "visible")] == [0, 0, 0, 0, 0]
    assert float(terms["ear"]) == pytest.approx(math.log(2))


def test_the_box_of_turned_axes_is_that_of_the_ellipse():
    axes = torch.tensor([[[0.2, 0.5], [0.8, 0.5], [0.5, 0.4], [0.5, 0.6]]])
    centre_x, centre_y, wide, high = target_box(axes)[0].tolist()
    assert (centre_x, centre_y) == pytest.approx((0.5, 0.5))
    assert (math.exp(wide), math.exp(high)) == pytest.approx((0.6, 0.2))
