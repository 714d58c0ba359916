"""The SAM image encoder (Kirillov et al. 2023, "Segment Anything") with a frozen prefix.

Holds the weights of Hugging Face's `SamVisionModel`, neck included, and runs them by `training/networks/attention.py`.
Pixels come in as everywhere in this project, [-1, 1] at the crop's own size; upsampling and SAM's mean and standard
deviation are applied here. It does not know where weights come from (`training/weights.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SamVisionConfig, SamVisionModel

from training.model_config import SamShape
from training.networks.attention import run_layer, run_neck

# SAM's published pixel statistics, for values in [0, 1], RGB.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


def vision_config(shape: SamShape) -> SamVisionConfig:
    """`shape` in Hugging Face's terms."""
    return SamVisionConfig(
        image_size=shape.image_size_px,
        patch_size=shape.patch_size_px,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        mlp_dim=shape.mlp_dim,
        window_size=shape.window_size,
        global_attn_indexes=list(shape.global_layers),
        output_channels=shape.output_channels,
        num_pos_feats=shape.output_channels // 2,
        initializer_range=0.02,  # the library's default, 1e-10, makes features that do not vary
    )


class SamEncoder(nn.Module):
    """SAM ViT image encoder: picture -> feature map.

    Args:
        shape: sizes of the encoder.
        freeze_layers: with n > 0 the patch embedding, the position embedding and the first n layers are frozen: they
            get no gradient, run without an autograd graph and stay in evaluation mode whatever `train()` says. While
            training in bfloat16 they run wholly in it, from a copy of their weights, not by autocast.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, shape: SamShape, freeze_layers: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.freeze_layers = freeze_layers
        self.vision = SamVisionModel(vision_config(shape))
        # The library leaves position embeddings at zero, which no ViT trained from scratch starts from.
        nn.init.trunc_normal_(self.vision.vision_encoder.pos_embed, std=0.02)
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(1, 3, 1, 1), persistent=False)
        if freeze_layers:
            encoder = self.vision.vision_encoder
            encoder.pos_embed.requires_grad_(False)
            for module in self._frozen_modules():
                module.requires_grad_(False)
        self._half_prefix: tuple[list[int], Sequence[nn.Module], Tensor] | None = None
        self.train(self.training)

    def _frozen_modules(self) -> list[nn.Module]:
        if not self.freeze_layers:
            return []
        encoder = self.vision.vision_encoder
        return [encoder.patch_embed, *encoder.layers[: self.freeze_layers]]

    def train(self, mode: bool = True) -> Self:
        """Training mode for everything but the frozen prefix."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def pixels(self, images: Tensor) -> Tensor:
        """Crops as SAM expects them: upsampled to its input size, its mean and standard deviation applied.

        Args:
            images: (B, 3, H, W) float in [-1, 1], RGB.
        """
        side = self.shape.image_size_px
        if images.shape[-1] != side:
            images = F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
        return ((images + 1) / 2 - self.pixel_mean) / self.pixel_std

    def forward(self, images: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Encode crops.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1], RGB, square.
            hidden: what `prefix` makes of them, where it is kept from before.

        Returns:
            (B, C, G, G) float32: `output_channels` features on a grid of `image_size_px / patch_size_px` cells a side.
        """
        if hidden is not None:
            pass
        elif self.freeze_layers and torch.is_grad_enabled():
            with torch.no_grad():
                hidden = self.prefix(images)
        else:  # no context manager here: it would leave a subgraph in an exported model
            hidden = self.prefix(images)
        encoder = self.vision.vision_encoder
        for layer in encoder.layers[self.freeze_layers :]:
            hidden = run_layer(layer, hidden)
        return run_neck(encoder.neck, hidden)

    def prefix(self, images: Tensor) -> Tensor:
        """Patch embedding, position embedding and the frozen layers: (B, 3, H, W) -> (B, G, G, C)."""
        kind = images.device.type
        if self.freeze_layers and self.training and _computes_bfloat16(kind):
            with torch.autocast(kind, enabled=False):
                modules, position = self._half(torch.bfloat16)
                return self._embed(self.pixels(images.float()).bfloat16(), modules, position).float()
        encoder = self.vision.vision_encoder
        modules = [encoder.patch_embed, *encoder.layers[: self.freeze_layers]]
        return self._embed(self.pixels(images), modules, encoder.pos_embed)

    def _embed(self, pixels: Tensor, modules: Sequence[nn.Module], position: Tensor) -> Tensor:
        hidden: Tensor = modules[0](pixels) + position
        for layer in modules[1:]:
            hidden = run_layer(layer, hidden)
        return hidden

    def _half(self, dtype: torch.dtype) -> tuple[Sequence[nn.Module], Tensor]:
        """Copies of the frozen modules and of the position embedding, made anew where the weights were loaded anew."""
        position: Tensor = self.vision.vision_encoder.pos_embed
        frozen = [*(p for module in self._frozen_modules() for p in module.parameters()), position]
        state = [number for tensor in frozen for number in (tensor.data_ptr(), tensor._version)]
        if self._half_prefix is None or self._half_prefix[0] != state:
            copies = [copy.deepcopy(module).to(dtype) for module in self._frozen_modules()]
            self._half_prefix = (state, copies, position.detach().to(dtype))
        return self._half_prefix[1], self._half_prefix[2]


def _computes_bfloat16(kind: str) -> bool:
    """Whether autocast is on and means bfloat16; a meta device has none."""
    return (
        torch.amp.is_autocast_available(kind)
        and torch.is_autocast_enabled(kind)
        and torch.get_autocast_dtype(kind) == torch.bfloat16
    )
