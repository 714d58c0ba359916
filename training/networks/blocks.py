"""The convolutional building blocks of encoder and decoder. They know nothing of SAM, latents or ears."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpatialAttention(nn.Module):
    """Gate each position by what the channels' mean and maximum say there (Woo et al. 2018, CBAM section 3.2)."""

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), each position scaled by a number in (0, 1)."""
        summary = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], dim=1)
        return features * torch.sigmoid(self.gate(summary))


class ResidualAttentionBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and ReLU, spatial attention on their result, and a residual path."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.attention = SpatialAttention()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, ceil(H / stride), ceil(W / stride))."""
        return F.relu(self.attention(self.body(features)) + self.shortcut(features))


class GridPool(nn.Module):
    """Average a square grid into `side` x `side` equal cells, for any grid, as one product with a constant matrix.

    Equals adaptive average pooling where the grid divides evenly. Where it does not, cells share the positions on their
    border by area; and unlike adaptive pooling it exports to ONNX for every size.
    """

    weights: Tensor

    def __init__(self, grid_side: int, side: int) -> None:
        super().__init__()
        edges = torch.linspace(0, grid_side, side + 1, dtype=torch.float64)
        starts, stops = edges[:-1, None], edges[1:, None]
        cells = torch.arange(grid_side, dtype=torch.float64)
        overlap = (torch.minimum(stops, cells + 1) - torch.maximum(starts, cells)).clamp(min=0)
        weights = (overlap / overlap.sum(1, keepdim=True)).float()
        self.register_buffer("weights", weights, persistent=False)  # (side, grid_side)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, G, G) -> (B, C, side, side)."""
        return self.weights @ features @ self.weights.T


class SpatialSoftmax(nn.Module):
    """Learned heat maps and their expected places (Levine et al. 2016, section 4.2)."""

    def __init__(self, in_channels: int, keypoints: int) -> None:
        super().__init__()
        self.to_heat = nn.Conv2d(in_channels, keypoints, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, G, G) -> heat (B, K, G, G) float32, logits; places (B, K, 2) float32, x and y from 0 to 1."""
        heat = self.to_heat(features).float()  # a softmax over the grid is too coarse in half precision
        share = heat.flatten(2).softmax(2).view_as(heat)
        centres = (torch.arange(heat.shape[-1], device=heat.device) + 0.5) / heat.shape[-1]
        places = torch.stack([(share.sum(2) * centres).sum(2), (share.sum(3) * centres).sum(2)], dim=2)
        return heat, places


class UpStage(nn.Module):
    """Double the side by a transposed convolution, with two skip connections.

    The input, upsampled, skips the transposed convolution; its result skips the two convolutions that refine it.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.refine = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, 2 H, 2 W)."""
        skipped = F.interpolate(self.skip(features), scale_factor=2.0, mode="nearest")
        raised = F.relu(self.up(features) + skipped)
        return F.relu(raised + self.refine(raised))
