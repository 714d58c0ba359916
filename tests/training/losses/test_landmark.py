"""The landmark terms, spelled out by hand."""

import math

import pytest
import torch

from training.losses.landmark import BETA, SIGMA, heatmap, landmark


def test_landmark_is_smooth_l1_by_hand():
    truth = torch.zeros(1, 2, 2)
    predicted = torch.tensor([[[0.01, 0.0], [0.5, 0.0]]])
    small, large = 0.5 * 0.01**2 / BETA, 0.5 - BETA / 2
    weights = torch.tensor([[1.0, 3.0]])
    assert landmark(predicted, truth, weights).item() == pytest.approx((small + 3 * large) / 4)


def test_unknown_landmarks_do_not_count():
    predicted, truth = torch.rand(2, 3, 2), torch.rand(2, 3, 2)
    weights = torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    assert landmark(predicted, truth, weights) == landmark(predicted[:1, :1], truth[:1, :1], weights[:1, :1])
    assert landmark(predicted, truth, torch.zeros(2, 3)).item() == 0


def test_heatmap_is_the_cross_entropy_by_hand():
    logits = torch.randn(1, 1, 3, 4)[..., :3]
    x, y = 0.7, 0.2
    wanted = torch.tensor(
        [
            [math.exp(-((j + 0.5 - 3 * x) ** 2 + (i + 0.5 - 3 * y) ** 2) / (2 * SIGMA**2)) for j in range(3)]
            for i in range(3)
        ]
    )
    wanted = wanted / wanted.sum()
    expected = -(wanted * torch.log_softmax(logits.flatten(), 0).view(3, 3)).sum()
    found = heatmap(logits, torch.tensor([[[x, y]]]), torch.ones(1, 1))
    torch.testing.assert_close(found, expected)


def test_heat_on_the_landmark_costs_less_than_heat_beside_it():
    hot = torch.zeros(1, 1, 8, 8)
    hot[0, 0, 2, 5] = 10.0
    at = heatmap(hot, torch.tensor([[[5.5 / 8, 2.5 / 8]]]), torch.ones(1, 1))
    beside = heatmap(hot, torch.tensor([[[2.5 / 8, 5.5 / 8]]]), torch.ones(1, 1))
    assert at < beside - 2


def test_heatmap_of_nothing_known_is_zero():
    assert heatmap(torch.randn(2, 1, 4, 4), torch.zeros(2, 1, 2), torch.zeros(2, 1)).item() == 0
