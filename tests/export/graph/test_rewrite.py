"""The rewritten networks compute the same, without batch norms, and leave the originals alone."""

import pytest
import torch
from torch import nn

from export.graph.rewrite import fold_batch_norms, rewrite
from tests.export.conftest import make_vae


def test_the_rewritten_networks_compute_the_same(vae):
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    latents = torch.randn(3, 16)
    with torch.inference_mode():
        faster = rewrite(vae)
        for expected, given in zip(vae.encoder(images), faster.encoder(images), strict=True):
            torch.testing.assert_close(given, expected, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(faster.decoder(latents), vae.decoder(latents), atol=2e-5, rtol=1e-4)


def test_no_batch_norm_is_left_and_the_original_keeps_its_own(vae):
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    faster = rewrite(vae)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in faster.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in vae.modules()) > 6
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())


@pytest.mark.parametrize("convolution", [nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 4, stride=2, bias=False)])
def test_a_batch_norm_folds_into_the_convolution_before_it(convolution):
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4) + 0.5
    stack = nn.Sequential(convolution, norm, nn.ReLU()).eval()
    picture = torch.randn(2, 3, 9, 9)
    with torch.inference_mode():
        expected = stack(picture)
        fold_batch_norms(stack)
        torch.testing.assert_close(stack(picture), expected, atol=1e-5, rtol=1e-5)
    assert isinstance(stack[1], nn.Identity)


def test_rows_of_zeros_at_the_end_of_the_identity_head_cost_nothing():
    vae = make_vae()
    mu = torch.randn(5, 16)
    with torch.no_grad():
        vae.identity.weight.copy_(torch.randn(16, 16))
        vae.identity.weight[11:] = 0
        vae.identity.mean.copy_(torch.randn(16))
    faster = rewrite(vae)
    assert faster.identity.weight.shape == (11, 16)
    with torch.inference_mode():
        torch.testing.assert_close(faster.identity(mu), vae.identity(mu))


def test_an_identity_head_of_zeros_is_not_shortened_to_nothing():
    vae = make_vae()
    with torch.no_grad():
        vae.identity.weight.zero_()
    assert rewrite(vae).identity.weight.shape == (16, 16)
