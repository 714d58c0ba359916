"""The shape of the networks: dataclasses that check themselves and travel as JSON inside checkpoints and manifests.

Plain data: no torch here, so a command line can refuse a flag before anything heavy is imported.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from training.errors import ConfigError

PICTURE_BASES = ("components", "cosines")
LATENT_SIDE = 4  # the decoder starts from, and the encoder ends at, a 4 x 4 grid
SAM_SIZES_PX = (1024, 896, 672, 448, 224)
"""Input sizes offered for pretrained SAM ViT-B. Multiples of 224 leave no padding in its 14 x 14 token windows."""


@dataclass(frozen=True)
class SamShape:
    """Shape of the SAM image encoder; the defaults are ViT-B (`facebook/sam-vit-base`, Kirillov et al. 2023)."""

    image_size_px: int = 1024
    """Side of the square the encoder upsamples every picture to, pixels."""
    patch_size_px: int = 16
    hidden_size: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_dim: int = 3072
    window_size: int = 14
    """Side of an attention window, tokens; 0: every layer attends globally."""
    global_layers: tuple[int, ...] = (2, 5, 8, 11)
    """Layers that attend over the whole grid instead of within windows."""
    output_channels: int = 256

    def __post_init__(self) -> None:
        object.__setattr__(self, "global_layers", tuple(self.global_layers))
        if self.image_size_px <= 0 or self.image_size_px % self.patch_size_px:
            raise ConfigError(
                f"--sam-size {self.image_size_px}: must be a multiple of the patch size, {self.patch_size_px} px"
            )
        if self.hidden_size % self.num_heads:
            raise ConfigError(f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}")

    @property
    def grid_side(self) -> int:
        """Tokens along one side of the feature map."""
        return self.image_size_px // self.patch_size_px


@dataclass(frozen=True)
class ModelConfig:
    """Everything that shapes the networks of `EarVAE`. It travels as JSON inside checkpoints and manifests."""

    preset: str = "teacher"
    sam: SamShape = field(default_factory=SamShape)
    freeze_layers: int = 6
    """First transformer layers kept frozen, with the patch and position embeddings; 0 freezes nothing."""
    latent_dim: int = 1024
    image_size_px: int = 128
    """Side of the square ear crops, pixels."""
    block_channels: tuple[int, int, int] = (256, 512, 512)
    """Output channels of the three custom blocks after SAM."""
    block_strides: tuple[int, int, int] = (2, 2, 2)
    """Of the three blocks; a block whose input is down to 4 x 4 does not stride."""
    keypoints: int = 0
    """Heat maps whose expected places (spatial softmax) join the features of the heads; 0: none."""
    norm_features: bool = False
    """Batch norm before the heads: for training from scratch, with batches large enough for it."""
    logvar_rank: int = 0
    """Width of a bottleneck in the logvar head, which has little to say; 0: none."""
    code_dim: int = 768
    """What the decoder first projects the latent to; both its paths start there."""
    coarse_side_px: int = 32
    """Side of the small picture (`training/networks/linear_picture.py`) that lies below the convolutions' detail."""
    picture_rank: int = 0
    """How many of the latents, the last ones, are the picture itself, read from the crop and drawn again linearly: for
    small models. 0: none, the whole latent comes from SAM."""
    picture_basis: str = "components"
    """What they are: `components`, the principal ones of the small picture, or `cosines`, the crop's lowest cosine
    frequencies (`training/networks/cosine_picture.py`)."""
    decoder_channels: tuple[int, ...] = (512, 512, 512, 256, 128, 64)
    """Channels at 4 x 4, 8 x 8, ... up to `image_size_px`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "block_channels", tuple(self.block_channels))
        object.__setattr__(self, "block_strides", tuple(self.block_strides))
        object.__setattr__(self, "decoder_channels", tuple(self.decoder_channels))
        if not 0 <= self.freeze_layers <= self.sam.num_layers:
            raise ConfigError(
                f"--freeze-layers {self.freeze_layers}: the {self.preset} encoder has {self.sam.num_layers} layers; "
                f"give 0 to {self.sam.num_layers}"
            )
        if self.image_size_px % self.coarse_side_px or self.coarse_side_px % 4:
            raise ConfigError(
                f"coarse_side_px {self.coarse_side_px}: must be a multiple of 4 that divides --image-size "
                f"{self.image_size_px}"
            )
        if self.latent_dim < 2:
            raise ConfigError(f"--latent-dim {self.latent_dim}: must be at least 2")
        if not 0 <= self.picture_rank < self.latent_dim:
            raise ConfigError(
                f"--latent-dim {self.latent_dim}: the {self.preset} preset keeps {self.picture_rank} latents for the "
                f"picture itself; give at least {self.picture_rank + 1}, or a smaller --picture-rank"
            )
        if self.picture_basis not in PICTURE_BASES:
            raise ConfigError(f"--picture-basis {self.picture_basis!r}: there are {', '.join(PICTURE_BASES)}")
        if self.picture_basis == "cosines" and self.picture_rank < 8:
            raise ConfigError(f"--picture-basis cosines: needs --picture-rank 8 or more; given {self.picture_rank}")
        doublings = self.image_size_px // LATENT_SIDE
        if self.image_size_px % LATENT_SIDE or doublings < 2 or doublings & (doublings - 1):
            raise ConfigError(
                f"--image-size {self.image_size_px}: must be a power of two from 8 px, such as 64, 128 or 256"
            )
        if len(self.block_channels) != 3 or len(self.block_strides) != 3:
            raise ConfigError(
                f"block_channels {self.block_channels}, block_strides {self.block_strides}: there are three blocks"
            )
        if len(self.decoder_channels) != doublings.bit_length():
            raise ConfigError(
                f"decoder_channels {self.decoder_channels}: --image-size {self.image_size_px} needs "
                f"{doublings.bit_length()} of them, one for each side from {LATENT_SIDE} to {self.image_size_px}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict` (or its JSON).

        Raises:
            ConfigError: `values` has a name this version does not know.
        """
        unknown = sorted(set(values) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigError(f"model configuration has unknown entries {unknown}: was it made by a newer ear-teacher?")
        return cls(**{**values, "sam": SamShape(**values.get("sam", {}))})
