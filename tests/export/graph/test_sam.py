"""The rewritten SAM computes what Hugging Face's does, for every shape of grid and window."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from export.graph.sam import PatchEmbedding, SamGraph, fold_upsampling
from tests.export.conftest import TINY, make_vae
from training.networks.sam import SamEncoder
from training.presets import preset

SHAPES = {
    "padded windows, upsampling folded": (TINY.sam, 32),
    "windows that fit": (replace(TINY.sam, window_size=4), 32),
    "windows as large as the grid": (replace(TINY.sam, window_size=8), 32),
    "windows larger than the grid": (replace(TINY.sam, window_size=14), 32),
    "all layers global": (replace(TINY.sam, window_size=0), 32),
    "a size that is no multiple of the crop": (replace(TINY.sam, image_size_px=56, window_size=7), 32),
    "a multiple that does not divide the patch": (replace(TINY.sam, image_size_px=96, window_size=4), 32),
    "no upsampling": (replace(TINY.sam, image_size_px=32, window_size=4), 32),
}


@pytest.mark.parametrize("name", SHAPES)
def test_it_agrees_with_hugging_face(name):
    shape, crop_px = SHAPES[name]
    sam = make_vae(replace(TINY, sam=shape, image_size_px=crop_px)).encoder.sam
    images = torch.rand(3, 3, crop_px, crop_px, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        expected, given = sam(images), SamGraph(sam, crop_px).eval()(images)
    assert expected.std(0).mean() > 0.05  # the comparison is not one of constants
    torch.testing.assert_close(given, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("side", [224, 448, 1024])
def test_the_graph_sees_crops_at_the_input_size_of_the_preset(side):
    shape = preset("teacher", sam_size_px=side).sam
    sam = SamEncoder(replace(shape, hidden_size=32, num_layers=1, num_heads=2, mlp_dim=32, global_layers=()))
    images = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    encoder = sam.vision.vision_encoder
    with torch.inference_mode():
        expected = (encoder.patch_embed(sam.pixels(images)) + encoder.pos_embed).flatten(0, 2)
        tokens = PatchEmbedding(sam, 128)(images)
    assert len(tokens) == (side // 16) ** 2
    torch.testing.assert_close(tokens, expected, atol=2e-5, rtol=1e-4)


def test_the_original_keeps_working_as_it_did():
    sam = make_vae().encoder.sam
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        before = sam(images)
        SamGraph(sam, 32)
        assert torch.equal(sam(images), before)


@pytest.mark.parametrize(("factor", "patch"), [(2, 8), (8, 16), (4, 16), (2, 2)])
def test_upsampling_folds_into_the_patch_convolution_exactly(factor, patch):
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64)
    weight = torch.randn(5, 3, patch, patch, generator=generator, dtype=torch.float64).float()
    large = F.interpolate(small, scale_factor=factor, mode="bilinear", align_corners=False)
    expected = F.conv2d(large, weight.double(), stride=patch)
    folded = fold_upsampling(weight, factor).double()
    given = F.conv2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), folded, stride=patch // factor)
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
