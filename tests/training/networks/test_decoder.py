"""The decoder and its linear path."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.training.shapes import MICRO
from training.networks.decoder import EarDecoder


def _pictures(count=40):
    """Smooth pictures of few degrees of freedom."""
    generator = torch.Generator().manual_seed(0)
    basis = F.interpolate(torch.randn(4, 3, 4, 4, generator=generator), size=32, mode="bilinear")
    weights = torch.randn(count, 4, generator=generator) * 0.2
    return torch.einsum("nk,kchw->nchw", weights, basis)


@pytest.mark.parametrize("size", [32, 64])
def test_decoder_ends_at_the_image_size(size):
    widths = (16, 12, 8, 8, 8)[: size.bit_length() - 2]
    config = replace(MICRO, image_size_px=size, decoder_channels=widths)
    assert EarDecoder(config)(torch.randn(2, 24)).shape == (2, 3, size, size)


def test_values_are_clamped_in_evaluation_and_free_in_training():
    decoder = EarDecoder(MICRO)
    torch.nn.init.constant_(decoder.to_coarse.bias, 3.0)
    latent = torch.randn(2, 24)
    assert decoder.train()(latent).max() > 2
    assert decoder.eval()(latent).max() <= 1


def test_coarse_path_starts_as_the_principal_components():
    """With the code set to a picture's own coefficients, the linear path must give that picture back."""
    decoder = EarDecoder(MICRO)
    decoder.start_from_pictures(_pictures())
    vectors = decoder.small.reduce(_pictures())
    basis, bias = decoder.to_coarse.weight, decoder.to_coarse.bias
    code = torch.linalg.lstsq(basis[:, :4], (vectors - bias).T).solution.T
    torch.testing.assert_close(code @ basis[:, :4].T + bias, vectors, atol=1e-3, rtol=0)
    torch.testing.assert_close(code.var(0, correction=0), torch.ones(4), atol=0.05, rtol=0)


def test_coarse_path_of_few_pictures_leaves_the_rest_silent():
    decoder = EarDecoder(MICRO)
    decoder.start_from_pictures(_pictures(3))
    assert decoder.to_coarse.weight[:, 2:].abs().max() == 0


def test_coarse_picture_is_linear_in_the_latent():
    decoder = EarDecoder(MICRO).eval()
    first, second = torch.randn(2, 1, 24)
    middle = decoder.coarse((first + second) / 2)
    torch.testing.assert_close(middle, (decoder.coarse(first) + decoder.coarse(second)) / 2)
    assert middle.shape == (1, 8 * 8 + 2 * 2 * 2)
