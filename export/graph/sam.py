"""SAM's image encoder written for graphs: the weights of `training.networks.sam.SamEncoder`, in fewer operations.

What differs from Hugging Face's forward: the pixel statistics (and whole-number upsampling) are folded into the patch
convolution, the query's scale into its projection, relative positions are looked up once when the graph is built, and
tokens stay (B * N, C) so that every linear layer is one Gemm. Softmax and layer norms are modules of their own, so that
a half-precision graph can keep them in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.sam.modeling_sam import SamVisionLayer, SamVisionNeck

from export.graph.attention import GraphAttention
from training.networks.sam import SamEncoder


class PatchEmbedding(nn.Module):
    """Pictures -> tokens with their position embedding.

    Args:
        sam: the encoder whose weights to take.
        crop_px: side of the pictures, pixels.
    """

    position: Tensor

    def __init__(self, sam: SamEncoder, crop_px: int) -> None:
        super().__init__()
        encoder, shape = sam.vision.vision_encoder, sam.shape
        self.side = shape.image_size_px
        weight, bias = fold_statistics(encoder.patch_embed.projection, sam.pixel_mean, sam.pixel_std)
        factor, remainder = divmod(self.side, crop_px)
        self.folded = remainder == 0 and shape.patch_size_px % factor == 0 and factor > 1
        if self.folded:
            weight = fold_upsampling(weight, factor)
        stride = shape.patch_size_px // factor if self.folded else shape.patch_size_px
        self.projection = nn.Conv2d(3, shape.hidden_size, weight.shape[-1], stride=stride, device="meta")
        self.projection.weight, self.projection.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
        self.register_buffer("position", encoder.pos_embed.detach().flatten(1, 2), persistent=False)  # (1, N, C)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) float in [-1, 1] -> (B * N, C)."""
        if self.folded:
            images = F.pad(images, (1, 1, 1, 1), mode="replicate")
        elif images.shape[-1] != self.side:
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)
        tokens = self.projection(images).flatten(2).transpose(1, 2) + self.position
        rows: Tensor = tokens.flatten(0, 1)
        return rows


def fold_statistics(convolution: nn.Conv2d, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias that take pixels in [-1, 1] where `convolution` took ((x + 1) / 2 - mean) / std."""
    weight = convolution.weight.detach().double()
    assert convolution.bias is not None  # SAM's patch convolution has one
    offset = (0.5 - mean.double()) / std.double()
    bias = convolution.bias.detach().double() + (weight * offset).sum(dim=(1, 2, 3))
    return (weight * 0.5 / std.double()).float(), bias.float()


def fold_upsampling(weight: Tensor, factor: int) -> Tensor:
    """(C, 3, P, P) for the upsampled picture -> (C, 3, P / f + 2, P / f + 2) for one padded by its edge pixels."""
    patch = weight.shape[-1]
    spread = torch.zeros(patch, patch // factor + 2, dtype=torch.float64)
    for pixel in range(patch):
        # Half-pixel centres, as align_corners=False has them; 1: the pixel of padding.
        position = (pixel + 0.5) / factor - 0.5 + 1
        left = int(position)
        spread[pixel, left] += 1 - (position - left)
        spread[pixel, left + 1] += position - left
    return (spread.T @ weight.double() @ spread).float()


class SamGraph(nn.Module):
    """The forward pass of `SamEncoder`; weights are shared with it where they are not rewritten.

    Args:
        sam: the encoder to rewrite.
        crop_px: side of the pictures, pixels.
        attention: how attention is written; all forms compute the same.
    """

    def __init__(self, sam: SamEncoder, crop_px: int, attention: type[GraphAttention] = GraphAttention) -> None:
        super().__init__()
        encoder, grid = sam.vision.vision_encoder, sam.shape.grid_side
        self.patches = PatchEmbedding(sam, crop_px)
        self.layers = nn.ModuleList(GraphLayer(layer, grid, attention) for layer in encoder.layers)
        self.neck = GraphNeck(encoder.neck, grid)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) float in [-1, 1], RGB -> (B, C, G, G) features."""
        tokens = self.patches(images)
        for layer in self.layers:
            tokens = layer(tokens)
        features: Tensor = self.neck(tokens)
        return features


class GraphLayer(nn.Module):
    """One transformer layer on (B * N, C) tokens."""

    def __init__(self, layer: SamVisionLayer, grid: int, attention: type[GraphAttention]) -> None:
        super().__init__()
        self.norm1, self.norm2 = layer.layer_norm1, layer.layer_norm2
        self.attention = attention(layer.attn, grid, layer.window_size)
        self.lin1, self.gelu, self.lin2 = layer.mlp.lin1, layer.mlp.act, layer.mlp.lin2

    def forward(self, tokens: Tensor) -> Tensor:
        """(B * N, C) -> (B * N, C)."""
        tokens = tokens + self.attention(self.norm1(tokens))
        refined: Tensor = self.lin2(self.gelu(self.lin1(self.norm2(tokens))))
        return tokens + refined


class GraphNeck(nn.Module):
    """SAM's neck: 1 x 1 and 3 x 3 convolution, each followed by a layer norm over channels."""

    def __init__(self, neck: SamVisionNeck, grid: int) -> None:
        super().__init__()
        self.grid = grid
        weight = neck.conv1.weight.detach().flatten(1)
        self.conv1 = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
        self.conv1.weight = nn.Parameter(weight, False)
        self.norm1, self.conv2, self.norm2 = (
            channels_last(neck.layer_norm1),
            neck.conv2,
            channels_last(neck.layer_norm2),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B * N, C) -> (B, C', G, G)."""
        narrow = self.norm1(self.conv1(tokens))
        squares = narrow.reshape(-1, self.grid, self.grid, narrow.shape[-1]).permute(0, 3, 1, 2)
        mixed: Tensor = self.norm2(self.conv2(squares).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return mixed


def channels_last(norm: nn.LayerNorm) -> nn.LayerNorm:
    """The neck's norm without the two transpositions that its own class puts around it; weights are shared."""
    plain = nn.LayerNorm(norm.normalized_shape, eps=norm.eps, device="meta")
    plain.weight, plain.bias = norm.weight, norm.bias
    return plain
