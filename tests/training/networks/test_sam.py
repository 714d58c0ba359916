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


@pytest.mark.parametrize("size", [32, 40, 24], ids=["padded windows", "larger grid", "whole windows"])
def test_features_and_gradients_equal_hugging_face(size):
    """Relative positions, biases and norms have values of their own, so that each counts."""
    torch.manual_seed(0)
    encoder = SamEncoder(replace(MICRO.sam, image_size_px=size))
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    images = _crops(side=size)

    def run(forward):
        encoder.zero_grad()
        features = forward(images)
        (features * torch.linspace(-1, 1, features.numel()).view(features.shape)).sum().backward()
        return features.detach(), {name: p.grad.clone() for name, p in encoder.named_parameters()}

    ours, our_gradients = run(encoder)
    theirs, their_gradients = run(lambda x: encoder.vision(pixel_values=encoder.pixels(x)).last_hidden_state)
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()
    for name, gradient in their_gradients.items():
        assert (our_gradients[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


def test_no_layer_makes_a_matrix_of_tokens_by_tokens():
    """Its arithmetic on a meta device, which lists every tensor that it makes."""
    from torch.utils._python_dispatch import TorchDispatchMode

    made = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            made.extend(t.shape for t in (result if isinstance(result, tuple) else (result,)) if torch.is_tensor(t))
            return result

    encoder = SamEncoder(replace(MICRO.sam, image_size_px=64, global_layers=(0, 1, 2)))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION), Recorder():
        encoder(_crops(side=64))
    tokens = 16 * 16
    assert made
    assert not [shape for shape in made if list(shape[-2:]) == [tokens, tokens]]


def test_frozen_prefix_in_bfloat16_gives_the_features_of_autocast():
    torch.manual_seed(0)
    encoder = SamEncoder(MICRO.sam, freeze_layers=2).train()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    precise = encoder.eval()(_crops())
    with torch.autocast("cpu", torch.bfloat16):
        by_autocast = encoder.eval()(_crops())
        by_copy = encoder.train()(_crops())
    error, usual = (by_copy - precise).norm(), (by_autocast - precise).norm()
    assert usual < 0.05 * precise.norm()
    assert error < 3 * usual + 0.01 * precise.norm()


def test_bfloat16_prefix_follows_weights_that_are_loaded_anew():
    torch.manual_seed(0)
    encoder, other = SamEncoder(MICRO.sam, freeze_layers=2).train(), SamEncoder(MICRO.sam, freeze_layers=2).train()

    def run(module):
        with torch.autocast("cpu", torch.bfloat16):
            return module(_crops())

    first, loaded = run(encoder), run(other)
    encoder.load_state_dict(other.state_dict())
    assert not torch.equal(first, loaded)
    torch.testing.assert_close(run(encoder), loaded, atol=0, rtol=0)
    assert not [name for name in encoder.state_dict() if "half" in name]


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
    for number in (1, 2):
        mlp = encoder.vision.vision_encoder.layers[number].mlp
        mlp.register_forward_hook(lambda _m, _i, out: seen.append(out.requires_grad))
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
