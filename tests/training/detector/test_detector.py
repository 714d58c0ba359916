"""The detector itself: shapes, its teacher, both stages, and the way back to pixels."""

import math

import numpy as np
import pytest
import torch

from tests.training.detector.shapes import LANDMARKS, TINY
from tests.training.shapes import MICRO
from training import EarDetector
from training.detector.config import DetectorConfig, coarse_side
from training.detector.detector import place
from training.detector.features import features_at, resized
from training.detector.heads import UNIT_PX, Coarse, Fine
from training.detector.zoom import square_around, zoom
from training.errors import CheckpointError, ConfigError
from training.networks.vae import EarVAE
from training.presets import PRESETS


def pictures(count=2, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 640, 640, 3), dtype=np.uint8))


def test_detections_have_the_shapes_of_the_landmark_graph():
    found = EarDetector(TINY).eval()(pictures())
    assert found.boxes.shape == (2, 2, 4)
    assert found.scores.shape == found.sides.shape == (2, 2)
    assert found.points.shape == (2, 2, LANDMARKS, 2)
    assert found.visibilities.shape == (2, 2, LANDMARKS)
    assert all(torch.isfinite(part).all() for part in found)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def test_a_detector_starts_with_its_teachers_encoder(teacher):
    detector, vae = EarDetector.from_vae_checkpoint(teacher, num_landmarks=5), EarVAE.load_from_checkpoint(teacher)
    for mine, theirs in ((detector.sam, vae.encoder.sam), (detector.blocks, vae.encoder.blocks)):
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(mine.state_dict()[name], tensor)
    assert detector.config.num_landmarks == 5


def test_a_frozen_encoder_does_not_learn_and_stays_in_evaluation_mode(teacher):
    detector = EarDetector.from_vae_checkpoint(teacher, freeze_encoder=True).train()
    assert not any(p.requires_grad for part in (detector.sam, detector.blocks) for p in part.parameters())
    assert not detector.blocks.training
    assert detector.first.training


def test_a_checkpoint_gives_the_same_detector_back(detector_file):
    first, again = EarDetector.load_from_checkpoint(detector_file), EarDetector.load_from_checkpoint(detector_file)
    for one, other in zip(first(pictures()), again(pictures()), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_teachers_checkpoint_is_not_a_detectors(teacher):
    with pytest.raises(CheckpointError, match="a teacher's"):
        EarDetector.load_from_checkpoint(teacher)


def test_the_first_look_has_tokens_of_at_most_sixteen_letterbox_pixels():
    assert coarse_side(PRESETS["tiny"].sam) == 320
    assert coarse_side(PRESETS["teacher"].sam) == 1024


def test_a_look_that_is_no_multiple_of_the_patch_is_refused():
    with pytest.raises(ConfigError, match="coarse_px 81"):
        DetectorConfig(MICRO, coarse_px=81)


def test_features_at_another_side_are_those_of_a_resized_encoder():
    torch.manual_seed(0)
    sam = EarDetector(TINY).eval().sam
    images = torch.rand(1, 3, 80, 80) * 2 - 1
    torch.testing.assert_close(features_at(sam, images, 80), resized(sam, 80)(images), rtol=1e-4, atol=1e-5)


def test_a_peak_becomes_a_box_where_it_says():
    detector = EarDetector(TINY)
    grid = 20
    heat = torch.full((1, grid, grid), -9.0)
    heat[0, 5, 12] = 4.0
    offset, size = torch.zeros(1, 2, grid, grid), torch.zeros(1, 2, grid, grid)
    offset[0, :, 5, 12] = torch.tensor([0.1, -0.2])
    size[0, :, 5, 12] = torch.tensor([math.log(0.5), math.log(1.5)])
    boxes, scores, _ = detector.propose(Coarse(heat, offset, size, torch.zeros(1, grid, grid)))
    x, y = 12.5 * 32 + 0.1 * UNIT_PX, 5.5 * 32 - 0.2 * UNIT_PX
    assert boxes[0, 0].tolist() == pytest.approx([x - 16, y - 48, x + 16, y + 48], abs=1e-3)
    assert float(scores[0, 0]) == pytest.approx(torch.sigmoid(torch.tensor(4.0)).item())


def test_zoom_cuts_the_square_it_is_given():
    picture = torch.arange(64, dtype=torch.float32).view(1, 1, 1, 64).expand(1, 3, 64, 64)
    cut = zoom(picture, torch.tensor([[[16.0, 0, 32, 16]]]), torch.zeros(1, 1), 16)
    torch.testing.assert_close(cut[0, 0, 0, 0], torch.arange(16.0, 32.0))


def test_a_mirrored_zoom_is_the_mirror_image():
    picture = torch.rand(1, 3, 64, 64)
    squares = torch.tensor([[[5.0, 3, 37, 35], [5.0, 3, 37, 35]]])
    plain, turned = zoom(picture, squares, torch.tensor([[0.0, 1.0]]), 16)[0]
    torch.testing.assert_close(plain.flip(2), turned, rtol=1e-4, atol=1e-4)


def test_a_large_square_is_averaged_not_sampled():
    picture = torch.zeros(1, 3, 128, 128)
    picture[..., ::2] = 1  # stripes of one pixel: sampling every eighth would give 0 or 1
    cut = zoom(picture, torch.tensor([[[0.0, 0, 128, 128]]]), torch.zeros(1, 1), 16)
    torch.testing.assert_close(cut, torch.full_like(cut, 0.5))


def test_places_of_a_mirrored_square_come_back_mirrored():
    fine = Fine(
        heat=torch.zeros(2, 1, 4, 4),
        points=torch.tensor([[[0.25, 0.5]], [[0.25, 0.5]]]),
        visible=torch.zeros(2, 1),
        box=torch.tensor([[0.4, 0.5, math.log(0.5), math.log(0.5)]] * 2),
        mirrored=torch.tensor([-9.0, -9.0]),
        ear=torch.zeros(2),
    )
    squares = torch.tensor([[[100.0, 100, 200, 200]] * 2])
    boxes, points, right = place(fine, squares, torch.tensor([[0.0, 1.0]]))
    assert points[0, :, 0, 0].tolist() == pytest.approx([125, 175])
    assert boxes[0, 0].tolist() == pytest.approx([115, 125, 165, 175])
    assert boxes[0, 1].tolist() == pytest.approx([135, 125, 185, 175])
    assert right[0].tolist() == pytest.approx([0, 1], abs=1e-3)


def test_the_square_around_a_box_keeps_its_centre():
    square = square_around(torch.tensor([10.0, 20, 30, 60]), 0.25)
    assert square.tolist() == [-10, 10, 50, 70]
