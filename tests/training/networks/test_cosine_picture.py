"""The picture as cosine frequencies, and the latents that they are."""

from dataclasses import replace

import pytest
import torch

from tests.training.shapes import MICRO
from training.errors import ConfigError
from training.networks.cosine_picture import CosinePicture
from training.networks.linear_picture import LATENT_STD
from training.networks.vae import EarVAE

COSINES = replace(MICRO, latent_dim=64, picture_rank=56, picture_basis="cosines")


@pytest.fixture
def pictures():
    return torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_coefficients_draw_the_nearest_picture_of_their_frequencies(pictures):
    path = CosinePicture(56, 32)
    drawn = path.enlarge(path.reduce(pictures))
    torch.testing.assert_close(path.enlarge(path.reduce(drawn)), drawn, atol=1e-4, rtol=0)
    assert (drawn - pictures).square().mean() < pictures.var()


def test_every_frequency_gives_the_picture_back(pictures):
    grey = pictures.mean(1, keepdim=True).expand(-1, 3, -1, -1)[..., :8, :8]
    path = CosinePicture(66, 8)
    assert path.counts == (62, 2, 2)
    assert (path.enlarge(path.reduce(grey)) - grey).square().mean() < 0.05 * grey.var()


def test_the_last_latents_are_the_pictures_frequencies_in_encoder_and_decoder(pictures):
    model = EarVAE(COSINES).eval()
    model.start_from_pictures(pictures)
    path = model.decoder.small
    with torch.inference_mode():
        mu = model.encoder(pictures)[0]
        drawn = path.enlarge(model.decoder.coarse(mu))
    torch.testing.assert_close(mu[:, -56:].std(0, correction=0), torch.full((56,), LATENT_STD), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(drawn, path.enlarge(path.reduce(pictures)), atol=1e-3, rtol=0)


def test_scales_are_saved_and_nothing_else_of_the_basis_is():
    model = EarVAE(COSINES)
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert fixed == {f"{part}.components.{what}" for part in ("encoder", "decoder") for what in ("mean", "std")}
    assert not [name for name in model.state_dict() if ".small." in name]


def test_a_basis_that_there_is_not_and_too_few_frequencies_are_refused():
    with pytest.raises(ConfigError, match="--picture-basis 'waves': there are components, cosines"):
        replace(COSINES, picture_basis="waves")
    with pytest.raises(ConfigError, match="needs --picture-rank 8 or more; given 4"):
        replace(COSINES, picture_rank=4)
