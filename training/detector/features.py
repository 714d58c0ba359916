"""SAM's features of pictures larger (or smaller) than those it was trained on: position embeddings are interpolated.

Weights stay those of one `SamEncoder`, whatever the side. Knows nothing of ears.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.attention import run_layer, run_neck
from training.networks.sam import SamEncoder


def features_at(sam: SamEncoder, images: Tensor, side: int) -> Tensor:
    """SAM's neck features of pictures brought to `side` px.

    Args:
        sam: the encoder.
        images: (B, 3, H, H) float32 in [-1, 1], RGB.
        side: pixels, a multiple of the patch.

    Returns:
        (B, C, G, G) float, G = side / patch.
    """
    images = resize(images, side)
    if side == sam.shape.image_size_px:
        return cast(Tensor, sam(images))
    encoder = sam.vision.vision_encoder
    pixels = ((images + 1) / 2 - sam.pixel_mean) / sam.pixel_std
    tokens = encoder.patch_embed.projection(pixels).permute(0, 2, 3, 1)
    hidden = tokens + fit_grid(encoder.pos_embed, side // sam.shape.patch_size_px)
    for layer in encoder.layers:
        hidden = run_layer(layer, hidden)
    return run_neck(encoder.neck, hidden)


def resize(images: Tensor, side: int) -> Tensor:
    """(B, 3, H, H) -> (B, 3, side, side): averages whole blocks where they fit, else interpolates."""
    have = images.shape[-1]
    if have == side:
        return images
    if have % side == 0:
        return F.avg_pool2d(images, have // side)
    return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)


def fit_grid(embedding: Tensor, grid: int) -> Tensor:
    """Position embeddings (1, G, G, C) for another grid: (1, grid, grid, C)."""
    if embedding.shape[1] == grid:
        return embedding
    planes = embedding.permute(0, 3, 1, 2)
    sized = F.interpolate(planes, size=(grid, grid), mode="bicubic", antialias=True, align_corners=False)
    return sized.permute(0, 2, 3, 1)


@torch.no_grad()
def resized(sam: SamEncoder, side: int) -> SamEncoder:
    """A copy of `sam` whose own input has `side` px, and which computes what `features_at` does: for export."""
    copy = SamEncoder(replace(sam.shape, image_size_px=side), sam.freeze_layers)
    own = copy.state_dict()
    state = {}
    for name, tensor in sam.state_dict().items():
        if name.endswith("pos_embed"):
            tensor = fit_grid(tensor, side // sam.shape.patch_size_px)
        elif "rel_pos" in name and tensor.shape != own[name].shape:
            # The same interpolation that the library does on the way where a grid is not the one it was made for.
            tensor = F.interpolate(tensor.T[None], size=own[name].shape[0], mode="linear")[0].T
        state[name] = tensor
    copy.load_state_dict(state)
    return copy.eval()
