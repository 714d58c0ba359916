"""SAM's attention for graphs: windows, decomposed relative positions (Li et al. 2022, MViTv2, section 4.1), softmax.

Tokens travel as (B * N, C) rows, N = G * G in row-major order of the grid. Knows nothing of the layers around it.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamVisionAttention

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
