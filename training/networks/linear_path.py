"""Which linear path from crop to latent and back a configuration asks for."""

from __future__ import annotations

from training.model_config import ModelConfig
from training.networks.cosine_picture import CosinePicture, Scales
from training.networks.linear_picture import Components, SmallPicture


def linear_path(config: ModelConfig) -> tuple[SmallPicture | CosinePicture, Components | Scales | None]:
    """The picture as a vector, and what makes latents of it and back; None where the latent holds no picture."""
    if config.picture_basis == "cosines":
        return CosinePicture(config.picture_rank, config.image_size_px), Scales(config.picture_rank)
    small = SmallPicture(config.coarse_side_px, config.image_size_px)
    return small, Components(small.values, config.picture_rank) if config.picture_rank else None
