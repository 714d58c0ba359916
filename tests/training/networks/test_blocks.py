"""The convolutional blocks."""

import pytest
import torch
from torch.nn import functional as F

from training.networks.blocks import GridPool, ResidualAttentionBlock, SpatialAttention, UpStage


@pytest.mark.parametrize("grid", [4, 8, 16])
def test_grid_pool_equals_adaptive_pooling_where_it_divides(grid):
    features = torch.randn(2, 3, grid, grid)
    torch.testing.assert_close(GridPool(grid, 4)(features), F.adaptive_avg_pool2d(features, 4))


@pytest.mark.parametrize("grid", [2, 3, 6, 7])
def test_grid_pool_keeps_the_mean_for_every_grid(grid):
    features = torch.randn(2, 3, grid, grid)
    pooled = GridPool(grid, 4)(features)
    assert pooled.shape == (2, 3, 4, 4)
    torch.testing.assert_close(pooled.mean((2, 3)), features.mean((2, 3)))


def test_spatial_attention_only_scales_positions_down():
    features = torch.randn(2, 5, 8, 8)
    gated = SpatialAttention()(features)
    ratio = gated / features
    assert ratio.min() > 0
    assert ratio.max() < 1
    torch.testing.assert_close(ratio[:, :1].expand_as(ratio), ratio)


@pytest.mark.parametrize(("side", "stride", "expected"), [(8, 1, 8), (8, 2, 4), (7, 2, 4)])
def test_residual_block_strides_round_up(side, stride, expected):
    block = ResidualAttentionBlock(4, 6, stride)
    assert block(torch.randn(2, 4, side, side)).shape == (2, 6, expected, expected)


def test_residual_block_of_equal_shape_skips_by_identity():
    block = ResidualAttentionBlock(4, 4)
    assert isinstance(block.shortcut, torch.nn.Identity)


def test_up_stage_doubles_the_side_and_skips_its_convolutions():
    stage = UpStage(6, 4).eval()
    features = torch.randn(2, 6, 5, 5)
    assert stage(features).shape == (2, 4, 10, 10)
    for norm in (stage.up[1], stage.refine[4]):
        assert isinstance(norm, torch.nn.BatchNorm2d)
        torch.nn.init.zeros_(norm.weight)  # silence both bodies: what is left came by the skip connections
    expected = F.relu(F.interpolate(stage.skip(features), scale_factor=2.0))
    torch.testing.assert_close(stage(features), expected)
