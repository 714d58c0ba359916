"""SAM's transformer layers for training: Hugging Face's weights, without a bias of tokens x tokens.

Decomposed relative positions (Li et al. 2022, MViTv2, section 4.1) are folded into query and key:
softmax(s q k' + down + across) v = softmax(s [q, down / s, across / s] [k, row, column]') v, where row and column are
the one-hot place of each key. Exact, and kernels for attention without a bias (flash, cuDNN) can run.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.sam.modeling_sam import SamVisionAttention, SamVisionLayer, SamVisionNeck

Attend = Callable[[SamVisionAttention, Tensor, int], Tensor]
"""(attention, tokens of M windows (M * W * W, C), W) -> what they attend to, (M * W * W, C)."""
ALIGNMENT = 8
"""Fused kernels want head widths that are multiples of it."""


class Windows(nn.Module):
    """Cuts a grid of tokens into square windows, padding with zeros at the right and lower edge, and joins them again.

    A window as large as the grid cuts nothing, and costs nothing.
    """

    def __init__(self, grid: int, window: int) -> None:
        super().__init__()
        self.grid, self.window = grid, window
        self.count = -(-grid // window)
        self.padding = self.count * window - grid

    def cut(self, tokens: Tensor) -> Tensor:
        """(B * G * G, C) -> (B * windows * W * W, C)."""
        if self.count == 1 and not self.padding:
            return tokens
        channels = tokens.shape[-1]
        squares = tokens.reshape(-1, self.grid, self.grid, channels)
        if self.padding:
            squares = F.pad(squares, (0, 0, 0, self.padding, 0, self.padding))
        squares = squares.reshape(-1, self.count, self.window, self.count, self.window, channels)
        return squares.transpose(2, 3).reshape(-1, channels)

    def join(self, tokens: Tensor) -> Tensor:
        """(B * windows * W * W, C) -> (B * G * G, C), padding dropped."""
        if self.count == 1 and not self.padding:
            return tokens
        channels = tokens.shape[-1]
        squares = tokens.reshape(-1, self.count, self.count, self.window, self.window, channels).transpose(2, 3)
        side = self.count * self.window
        squares = squares.reshape(-1, side, side, channels)[:, : self.grid, : self.grid]
        return squares.reshape(-1, channels)


def run_layer(layer: SamVisionLayer, hidden: Tensor, attend: Attend | None = None) -> Tensor:
    """What `layer(hidden)` computes: (B, G, G, C) -> (B, G, G, C).

    attend: another form of `folded_attention`, to compare with it.
    """
    grid = hidden.shape[1]
    windows = Windows(grid, layer.window_size or grid)
    rows = windows.cut(layer.layer_norm1(hidden).flatten(0, 2))
    mixed = windows.join(layer.attn.proj((attend or folded_attention)(layer.attn, rows, windows.window)))
    hidden = hidden + mixed.view(hidden.shape)
    result: Tensor = hidden + layer.mlp(layer.layer_norm2(hidden))
    return result


def run_neck(neck: SamVisionNeck, hidden: Tensor) -> Tensor:
    """What `neck(hidden)` computes, channels last throughout: (B, G, G, C) -> (B, C', G, G)."""
    narrow = _norm(neck.layer_norm1, F.linear(hidden, neck.conv1.weight.flatten(1)))
    wide = neck.conv2(narrow.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return _norm(neck.layer_norm2, wide).permute(0, 3, 1, 2)


def _norm(norm: nn.LayerNorm, values: Tensor) -> Tensor:
    """The neck's norm over the last dimension, without the transpositions that its own class puts around it."""
    return F.layer_norm(values, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def folded_attention(attention: SamVisionAttention, rows: Tensor, side: int) -> Tensor:
    """Tokens of M windows (M * W * W, C) -> what they attend to, (M * W * W, C)."""
    heads, tokens = attention.num_attention_heads, side * side
    width = rows.shape[-1] // heads
    query, key, value = attention.qkv(rows).view(-1, tokens, 3, heads, width).permute(2, 0, 3, 1, 4).unbind(0)
    down_table = relative_table(attention.rel_pos_h, side) / attention.scale
    across_table = relative_table(attention.rel_pos_w, side) / attention.scale
    squares = query.unflatten(2, (side, side))  # (M, heads, row, column, d)
    down = torch.einsum("mhijd,idk->mhijk", squares, down_table.to(query.dtype)).flatten(2, 3)
    across = torch.einsum("mhijd,jdk->mhijk", squares, across_table.to(query.dtype)).flatten(2, 3)
    padding = -(width + 2 * side) % ALIGNMENT
    place = _places(side, padding, key).expand(*key.shape[:2], -1, -1)
    parts = [query, down, across, *([query.new_zeros(*query.shape[:3], padding)] if padding else [])]
    value = F.pad(value, (0, 2 * side + padding))  # fused kernels want one width for all three
    mixed = F.scaled_dot_product_attention(
        torch.cat(parts, dim=-1), torch.cat([key, place], dim=-1), value, scale=attention.scale
    )
    return mixed[..., :width].transpose(1, 2).reshape(rows.shape)


def relative_table(positions: Tensor, side: int) -> Tensor:
    """Relative position embeddings (2 side - 1, d), of another length interpolated, as (query, d, key)."""
    length = 2 * side - 1
    if len(positions) != length:
        positions = F.interpolate(positions.T[None], size=length, mode="linear")[0].T
    return positions.unfold(0, side, 1).flip(-1)  # [i, :, k] is the embedding of distance i - k


def _places(side: int, padding: int, like: Tensor) -> Tensor:
    """One-hot row and column of each token, (W * W, 2 W + padding)."""
    one_hot = torch.eye(side, dtype=like.dtype, device=like.device)
    places = torch.cat([one_hot.repeat_interleave(side, 0), one_hot.repeat(side, 1)], dim=1)
    return F.pad(places, (0, padding))
