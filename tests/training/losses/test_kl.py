"""The KL term against torch.distributions."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from training.losses.kl import kl


def test_kl_equals_the_closed_form_of_torch_distributions():
    mu, logvar = torch.randn(5, 7), torch.randn(5, 7)
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl(mu, logvar), expected)


def test_kl_of_the_prior_is_zero():
    assert kl(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0


def test_kl_of_one_unit_offset_is_half_a_nat():
    assert kl(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)).item() == pytest.approx(0.5)
