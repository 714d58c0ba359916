"""The encoder, its keypoints and its log variance."""

from dataclasses import replace

import torch

from tests.training.shapes import MICRO
from training.networks.blocks import SpatialSoftmax
from training.networks.encoder import LOGVAR_RANGE, EarEncoder


def test_reading_holds_the_keypoints_where_the_model_has_them():
    encoder = EarEncoder(replace(MICRO, keypoints=5, block_strides=(1, 1, 1), norm_features=True, logvar_rank=4))
    reading = encoder.read(torch.randn(3, 3, 32, 32))
    assert reading.heat is not None
    assert reading.places is not None
    assert reading.heat.shape == (3, 5, 8, 8)
    assert reading.places.shape == (3, 5, 2)
    assert reading.mu.shape == reading.logvar.shape == (3, 24)


def test_model_without_keypoints_reads_none():
    reading = EarEncoder(MICRO).read(torch.randn(2, 3, 32, 32))
    assert reading.heat is None
    assert reading.places is None


def test_keypoints_reach_the_latent():
    encoder = EarEncoder(replace(MICRO, keypoints=2)).eval()
    assert encoder.keypoints is not None
    images = torch.randn(2, 3, 32, 32)
    before = encoder(images)[0]
    with torch.no_grad():
        encoder.keypoints.to_heat.weight.add_(3.0)
    assert (encoder(images)[0] - before).abs().max() > 1e-4


def test_spatial_softmax_finds_a_peak():
    layer = SpatialSoftmax(1, 1)
    with torch.no_grad():
        layer.to_heat.weight.fill_(50.0)
        layer.to_heat.bias.zero_()  # type: ignore[union-attr]
    features = torch.zeros(1, 1, 8, 8)
    features[0, 0, 6, 1] = 1.0  # row 6, column 1
    _, places = layer(features)
    torch.testing.assert_close(places, torch.tensor([[[1.5 / 8, 6.5 / 8]]]))


def test_logvar_starts_small_and_stays_in_its_range():
    encoder = EarEncoder(MICRO)
    logvar = encoder(torch.randn(4, 3, 32, 32))[1]
    assert logvar.mean() < -3
    last = encoder.to_logvar
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.constant_(last.bias, 100.0)
    assert encoder(torch.randn(1, 3, 32, 32).repeat(2, 1, 1, 1))[1].max() == LOGVAR_RANGE[1]
