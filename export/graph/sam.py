"""SAM's image encoder written for graphs: the weights of `training.networks.sam.SamEncoder`, in fewer operations.

What differs from Hugging Face's forward: the pixel statistics (and whole-number upsampling) are folded into the patch
convolution, the query's scale into its projection, relative positions are looked up once when the graph is built, and
tokens stay (B * N, C) so that every linear layer is one Gemm. Softmax and layer norms are modules of their own, so that
a half-precision graph can keep them in float32.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamVisionLayer, SamVisionNeck

from export.graph.sam_attention import GraphAttention
from export.graph.sam_patches import PatchEmbedding
from training.networks.sam import SamEncoder


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
