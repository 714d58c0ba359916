"""SAM's attention for graphs, in the forms that runtimes have fused kernels for; all compute the same.

Windows, decomposed relative positions (Li et al. 2022, MViTv2, section 4.1), softmax. Tokens travel as (B * N, C) rows,
N = G * G in row-major order of the grid. Knows nothing of the layers around it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamVisionAttention

from bundle.manifest import Precision
from training.networks.attention import Windows, relative_table


class GraphAttention(nn.Module):
    """Multi-head attention within windows (or over the whole grid, where the window is as large).

    Args:
        attention: the layer whose weights to take.
        grid: tokens along one side of the feature map.
        window: tokens along one side of a window; 0: the whole grid.
    """

    rel_h: Tensor
    rel_w: Tensor

    def __init__(self, attention: SamVisionAttention, grid: int, window: int) -> None:
        super().__init__()
        self.windows = Windows(grid, window or grid)
        self.heads = attention.num_attention_heads
        self.query, self.key, self.value = split_projection(attention)
        self.softmax = nn.Softmax(dim=-1)
        self.proj = attention.proj
        side = self.windows.window
        # The query arrives scaled; relative positions want it unscaled.
        rel_h = relative_table(attention.rel_pos_h.detach(), side) / attention.scale
        rel_w = relative_table(attention.rel_pos_w.detach(), side) / attention.scale
        self.register_buffer("rel_h", rel_h.contiguous(), persistent=False)  # (q row, d, k row)
        self.register_buffer("rel_w", rel_w.contiguous(), persistent=False)  # (q col, d, k col)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B * N, C) -> (B * N, C)."""
        rows = self.windows.cut(tokens)
        mixed = self.attend(self.query(rows), self.key(rows), self.value(rows))
        projected: Tensor = self.proj(self.windows.join(mixed))
        return projected

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query (scaled), key and value of M windows, each (M * W * W, C) -> (M * W * W, C)."""
        side = self.windows.window
        queries = self.by_head(query)
        scores = (queries @ self.by_head(key).transpose(2, 3)).reshape(-1, side, side, side, side)
        scores = scores + self.relative_positions(queries)
        weights = self.softmax(scores.reshape(-1, self.heads, side * side, side * side))
        mixed: Tensor = weights @ self.by_head(value)
        return mixed.transpose(1, 2).reshape(-1, query.shape[-1])

    def by_head(self, rows: Tensor) -> Tensor:
        """(M * W * W, C) -> (M, heads, W * W, d)."""
        tokens = self.windows.window**2
        return rows.reshape(-1, tokens, self.heads, rows.shape[-1] // self.heads).transpose(1, 2)

    def relative_positions(self, query: Tensor) -> Tensor:
        """What each query adds to its score with each key.

        query: (M, heads, W * W, d), scaled. Returns (M * heads, query row, query column, key row, key column).
        """
        side = self.windows.window
        squares = query.reshape(-1, side, side, query.shape[-1])  # (M * heads, row, column, d)
        down = squares @ self.rel_h  # (M * heads, row, column, key row): every row has a matrix of its own
        across = (squares.transpose(1, 2) @ self.rel_w).transpose(1, 2)
        return down.unsqueeze(4) + across.unsqueeze(3)


def split_projection(attention: SamVisionAttention) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
    """The joint projection as query, key and value, the query's carrying the factor 1 / sqrt(d)."""
    weights, biases = attention.qkv.weight.detach().chunk(3), attention.qkv.bias.detach().chunk(3)
    factors = (attention.scale, 1.0, 1.0)
    made = []
    for weight, bias, factor in zip(weights, biases, factors, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        linear.weight, linear.bias = nn.Parameter(weight * factor, False), nn.Parameter(bias * factor, False)
        made.append(linear)
    query, key, value = made
    return query, key, value


ATTENTION_OPSET = 23
"""The first operator set that has `Attention`."""


class FoldedAttention(GraphAttention):
    """Relative positions folded into the product of query and key, for ONNX Runtime's fused attention on CPU.

    softmax(q k' + down + across) v = softmax([q, down, across] [k, row, column]') v, where row and column are the
    one-hot place of each key: exact. The bias is never made (805 MB a layer at 1024 px), and `com.microsoft`'s
    MultiHeadAttention, which has a blockwise kernel for attention WITHOUT a bias, can be used.
    """

    place: Tensor

    def __init__(self, attention: SamVisionAttention, grid: int, window: int) -> None:
        super().__init__(attention, grid, window)
        side = self.windows.window
        one_hot = torch.eye(side)
        place = torch.cat([one_hot.repeat_interleave(side, 0), one_hot.repeat(side, 1)], dim=1)  # (W * W, 2 W)
        place = place.reshape(1, side * side, 1, 2 * side).repeat(1, 1, self.heads, 1)
        self.register_buffer("place", place, persistent=False)  # (1, W * W, heads, 2 W)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `GraphAttention.attend`."""
        side, channels = self.windows.window, query.shape[-1]
        tokens, width = side * side, channels // self.heads
        # Rows stay (token, head): the query's row and column pick its matrix without a transposition.
        down = query.reshape(-1, side, side * self.heads, width) @ self.rel_h
        across = query.reshape(-1, side, side, self.heads, width) @ self.rel_w
        parts = ((query, width), (down, side), (across, side))
        queries = torch.cat([rows.reshape(-1, tokens, self.heads, size) for rows, size in parts], dim=-1)
        keys = key.reshape(-1, tokens, self.heads, width)
        keys = torch.cat([keys, self.place.expand(keys.shape[0], -1, -1, -1)], dim=-1)
        mixed = self._fused(queries.flatten(2), keys.flatten(2), value.reshape(-1, tokens, channels))
        return mixed.reshape(-1, channels)

    def _fused(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(M, N, heads * e), (M, N, heads * e), (M, N, heads * d) -> (M, N, heads * d): attention without scaling."""
        if torch.onnx.is_in_onnx_export():
            return torch.onnx.ops.symbolic(
                "com.microsoft::MultiHeadAttention",
                (queries, keys, values),
                {"num_heads": self.heads, "scale": 1.0},
                dtype=values.dtype,
                shape=values.shape,
                version=1,
            )
        shape = (*queries.shape[:2], self.heads, -1)
        q, k, v = (rows.reshape(shape).transpose(1, 2) for rows in (queries, keys, values))
        mixed: Tensor = self.softmax(q @ k.transpose(2, 3)) @ v
        return mixed.transpose(1, 2).flatten(2)


def attention_form(precision: Precision, opset: int, portable: bool) -> type[GraphAttention]:
    """The form for a file.

    float32 files are run by ONNX Runtime on CPUs unless they are to be `portable`; float16 files are for GPUs, where
    TensorRT takes standard operators only.
    """
    if precision == "fp32" and not portable:
        return FoldedAttention
    return StandardAttention if opset >= ATTENTION_OPSET else GraphAttention


class StandardAttention(GraphAttention):
    """The `Attention` operator of ONNX opset 23, which TensorRT fuses.

    Without its attribute `softmax_precision`: TensorRT-RTX 1.7 refuses to parse it, because the fused
    kernels choose the precision of the softmax themselves. The form of opset 20 casts to float32 in the graph.
    """

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `GraphAttention.attend`."""
        tokens = self.windows.window**2
        queries, keys, values = (self.by_head(rows) for rows in (query, key, value))
        bias = self.relative_positions(queries).reshape(-1, self.heads, tokens, tokens)
        mixed, *_ = torch.onnx.ops.attention(queries, keys, values, attn_mask=bias, scale=1.0)
        return mixed.transpose(1, 2).reshape(-1, query.shape[-1])
