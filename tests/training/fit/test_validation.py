"""What validation joins and averages."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from training.config import LossWeights
from training.fit.validation import Validated, figures, identification, join
from training.losses.objective import Objective, psnr


def _columns(count=6):
    generator = torch.Generator().manual_seed(0)
    return {
        "l1": torch.rand(count, generator=generator),
        "similarity": torch.rand(count, generator=generator),
        "mu": torch.randn(count, 4, generator=generator),
        "embedding": F.normalize(torch.randn(count, 4, generator=generator), dim=1),
        "label": torch.arange(count) // 3,
        "index": torch.arange(count),
    }


def test_join_restores_order_and_drops_repeats():
    columns = _columns()
    shuffled = torch.tensor([3, 0, 5, 2, 1, 4, 0, 5])
    validated = join({name: column[shuffled] for name, column in columns.items()})
    for name in ("l1", "similarity"):
        torch.testing.assert_close(validated.values[name], columns[name])
    torch.testing.assert_close(validated.mu, columns["mu"])
    assert validated.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_loss_is_the_weighted_sum_of_the_means(micro_run):
    run = replace(micro_run, losses=replace(micro_run.losses, contrastive=0.0, edge=2.0))
    validated = Validated({"l1": torch.tensor([1.0, 3.0]), "edge": torch.tensor([0.5, 0.5]),
                 "psnr": torch.tensor([20.0, 30.0]),
                 "ssim": torch.tensor([0.2, 0.4]), "similarity": torch.tensor([0.8, 0.6])},
                torch.zeros(2, 2), torch.eye(2), torch.arange(2))  # fmt: skip
    found = figures(validated, Objective(run.losses), run)
    assert found["loss"].item() == pytest.approx(2.0 + 2.0 * 0.5 + 0.6 * 0.3)
    assert found["psnr"].item() == 25
    assert found["ssim"].item() == pytest.approx(0.7)
    assert found["ssim_loss"].item() == pytest.approx(0.3)


def test_identification_needs_subjects_with_enough_pictures():
    columns = _columns()
    assert set(identification(join(columns))) == {"rank1", "eer"}
    columns["label"] = torch.arange(6)
    assert identification(join(columns)) == {}


def test_values_of_each_picture_average_to_those_of_the_batch():
    objective = Objective(LossWeights(perceptual=0))
    first, second = torch.rand(2, 5, 3, 32, 32) * 2 - 1
    each, whole = objective.compare_each(first, second), objective.compare(first, second)
    assert set(whole) == {"l1", "ssim", "edge", "center"}
    for name, value in whole.items():
        assert each[name].shape == (5,)
        torch.testing.assert_close(each[name].mean(), value)


def test_term_of_weight_zero_is_not_computed():
    objective = Objective(LossWeights(perceptual=0, ssim=0, edge=0, center=0))
    assert set(objective.pair_terms()) == {"l1"}


def test_psnr_of_a_tenth_off_is_twenty_decibel():
    first = torch.zeros(2, 3, 4, 4)
    torch.testing.assert_close(psnr(first + 0.2, first), torch.full((2,), 20.0))
    assert torch.isfinite(psnr(first, first)).all()
