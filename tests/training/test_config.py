"""Model shapes that check themselves."""

import json
from dataclasses import replace

import pytest

from tests.training.shapes import MICRO
from training.errors import ConfigError
from training.model_config import ModelConfig, SamShape
from training.presets import PRESETS, preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_survives_json(name):
    config = PRESETS[name]
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.preset == name
    assert config.latent_dim == 1024
    assert config.image_size_px == 128


def test_default_shape_is_sam_vit_b():
    shape = SamShape()
    assert (shape.image_size_px, shape.hidden_size, shape.num_layers, shape.output_channels) == (1024, 768, 12, 256)
    assert shape.grid_side == 64


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"freeze_layers": 13}, "--freeze-layers 13"),
        ({"latent_dim": 0}, "--latent-dim 0"),
        ({"image_size_px": 100}, "--image-size 100"),
    ],
)
def test_impossible_shape_names_its_flag(change, flag):
    with pytest.raises(ConfigError, match=flag):
        replace(ModelConfig(), **change)


def test_sam_size_must_be_whole_patches():
    with pytest.raises(ConfigError, match="--sam-size 1000"):
        preset("teacher", sam_size_px=1000)


def test_decoder_needs_one_width_per_doubling():
    with pytest.raises(ConfigError, match="decoder_channels"):
        replace(MICRO, decoder_channels=(16, 8))


@pytest.mark.parametrize(("size", "count"), [(64, 5), (128, 6), (256, 7)])
def test_preset_fits_its_decoder_to_the_image_size(size, count):
    config = preset("tiny", image_size_px=size)
    assert len(config.decoder_channels) == count


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match="teacher, tiny"):
        preset("giant")


def test_configuration_from_the_future_is_refused():
    with pytest.raises(ConfigError, match="wormholes"):
        ModelConfig.from_dict({**MICRO.to_dict(), "wormholes": 3})
