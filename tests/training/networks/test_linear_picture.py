"""The small picture and its components, and the latents that they are."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.training.shapes import MICRO
from training.errors import ConfigError
from training.networks.linear_picture import LATENT_STD, Components, SmallPicture
from training.networks.vae import EarVAE

RANKED = replace(MICRO, picture_rank=6)


def _smooth(count):
    """Pictures of five degrees of freedom, without detail."""
    generator = torch.Generator().manual_seed(0)
    basis = F.interpolate(torch.randn(5, 3, 2, 2, generator=generator), size=32, mode="bilinear")
    return torch.einsum("nk,kchw->nchw", torch.randn(count, 5, generator=generator) * 0.2, basis)


def test_a_smooth_picture_survives_reduction():
    small = SmallPicture(16, 32)
    images = _smooth(4)
    error = (small.enlarge(small.reduce(images)) - images).square().mean()
    assert error < 0.02 * images.var()


def test_a_grey_picture_has_no_chroma():
    small = SmallPicture(8, 32)
    vector = small.reduce(torch.full((1, 3, 32, 32), 0.5))
    torch.testing.assert_close(vector[:, :64], torch.full((1, 64), 0.5))
    torch.testing.assert_close(vector[:, 64:], torch.zeros(1, 8), atol=1e-6, rtol=0)


def test_components_read_what_they_draw():
    vectors = torch.randn(200, 5, generator=torch.Generator().manual_seed(1)) @ torch.diag(torch.arange(1.0, 6))
    found = Components(5, 5)
    found.fit(vectors)
    torch.testing.assert_close(found.draw(found.read(vectors)), vectors, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.read(vectors).std(0, correction=0), torch.full((5,), LATENT_STD))


def test_the_last_latents_are_the_pictures_components_in_encoder_and_decoder():
    pictures = _smooth(40)
    model = EarVAE(RANKED).eval()
    model.start_from_pictures(pictures)
    with torch.inference_mode():
        mu = model.encoder(pictures)[0]
        drawn = model.decoder.small.enlarge(model.decoder.coarse(mu))
    torch.testing.assert_close(mu[:, -6:-1].std(0, correction=0), torch.full((5,), LATENT_STD), atol=1e-4, rtol=1e-3)
    assert (drawn - pictures).square().mean() < 0.05 * pictures.var()


def test_components_are_saved_and_take_no_gradient():
    model = EarVAE(RANKED)
    names = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert sorted({name.split(".")[1] for name in names}) == ["components"]
    assert set(names) <= set(model.state_dict())


def test_a_latent_without_room_for_the_components_is_refused():
    with pytest.raises(ConfigError, match="--latent-dim 6: the micro preset keeps 6"):
        replace(RANKED, latent_dim=6)
