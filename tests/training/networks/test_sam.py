"""The SAM encoder against Hugging Face, and its frozen prefix."""

from dataclasses import replace

import pytest
import torch

from tests.training.shapes import MICRO
from training.model_config import SamShape
from training.networks.sam import PIXEL_MEAN, PIXEL_STD, SamEncoder


def _crops(batch=2, side=32):
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_features_equal_hugging_face_on_the_same_pixels():
    torch.manual_seed(0)
    encoder = SamEncoder(MICRO.sam).eval()
    images = _crops()
    with torch.no_grad():
        ours = encoder(images)
        theirs = encoder.vision(pixel_values=encoder.pixels(images)).last_hidden_state
    assert ours.shape == (2, 8, 8, 8)
    torch.testing.assert_close(ours, theirs)


def test_frozen_prefix_gives_the_same_features():
    torch.manual_seed(0)
    free = SamEncoder(MICRO.sam)
    frozen = SamEncoder(MICRO.sam, freeze_layers=2)
    frozen.load_state_dict(free.state_dict())
    torch.testing.assert_close(frozen(_crops()), free(_crops()))


def test_pixels_follow_sam_statistics():
    encoder = SamEncoder(MICRO.sam)
    white = encoder.pixels(torch.ones(1, 3, 32, 32))[0, :, 0, 0]
    expected = (torch.ones(3) - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)
    torch.testing.assert_close(white, expected)


def test_small_crops_are_upsampled_to_the_sam_size():
    encoder = SamEncoder(MICRO.sam)
    assert encoder.pixels(_crops(side=16)).shape == (2, 3, 32, 32)


def test_frozen_prefix_stays_in_evaluation_mode_and_gets_no_gradient():
    encoder = SamEncoder(MICRO.sam, freeze_layers=2).train()
    inner = encoder.vision.vision_encoder
    assert not inner.patch_embed.training
    assert [layer.training for layer in inner.layers] == [False, False, True]
    encoder(_crops()).sum().backward()
    with_gradient = {name for name, p in inner.named_parameters() if p.grad is not None}
    assert with_gradient
    assert all(name.startswith(("layers.2.", "neck.")) for name in with_gradient)


def test_frozen_prefix_records_no_graph():
    encoder = SamEncoder(MICRO.sam, freeze_layers=2).train()
    seen = []
    encoder.vision.vision_encoder.layers[1].register_forward_hook(lambda _m, _i, out: seen.append(out.requires_grad))
    encoder.vision.vision_encoder.layers[2].register_forward_hook(lambda _m, _i, out: seen.append(out.requires_grad))
    encoder(_crops())
    assert seen == [False, True]


def test_nothing_is_frozen_at_zero():
    encoder = SamEncoder(MICRO.sam, freeze_layers=0)
    assert all(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("size", [1024, 896, 672, 448, 224])
def test_every_offered_size_has_whole_patches(size):
    assert replace(SamShape(), image_size_px=size).grid_side == size // 16


def test_features_vary_with_the_picture():
    torch.manual_seed(0)
    encoder = SamEncoder(MICRO.sam).eval()
    with torch.no_grad():
        features = encoder(_crops(batch=2))
    assert (features[0] - features[1]).abs().mean() > 1e-3
