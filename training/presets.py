"""The named model shapes. A preset is a `ModelConfig` and nothing else: every preset is the same classes."""

from __future__ import annotations

from dataclasses import replace

from training.errors import ConfigError
from training.model_config import LATENT_SIDE, ModelConfig, SamShape

PRESETS: dict[str, ModelConfig] = {
    # SAM ViT-B at 1024 px: 148 M parameters, made for pretrained weights and a GPU.
    "teacher": ModelConfig(),
    # Trained from scratch on two CPU cores in minutes; nothing is frozen because nothing is pretrained. Few layers and
    # few high-resolution maps: on a CPU, memory traffic is the cost. Under 20 MB in float32.
    "tiny": ModelConfig(
        preset="tiny",
        sam=SamShape(
            image_size_px=128,
            patch_size_px=8,
            hidden_size=128,
            num_layers=2,
            num_heads=4,
            mlp_dim=256,
            window_size=8,
            global_layers=(),
            output_channels=128,
        ),
        freeze_layers=0,
        block_channels=(128, 128, 64),
        block_strides=(1, 1, 1),
        keypoints=32,
        norm_features=True,
        logvar_rank=32,
        picture_rank=384,
        code_dim=256,
        decoder_channels=(64, 80, 64, 48, 32, 8),
    ),
}


def preset(
    name: str,
    *,
    base: ModelConfig | None = None,
    sam_size_px: int | None = None,
    freeze_layers: int | None = None,
    latent_dim: int | None = None,
    image_size_px: int | None = None,
    picture_rank: int | None = None,
    picture_basis: str | None = None,
) -> ModelConfig:
    """The preset `name`, or `base` in its place, with departures from it (None: as the preset has it).

    Raises:
        ConfigError: no such preset, or a departure that cannot work.
    """
    if base is None and name not in PRESETS:
        raise ConfigError(f"--preset {name!r}: there are {', '.join(sorted(PRESETS))}")
    base = base or PRESETS[name]
    sam = base.sam if sam_size_px is None else replace(base.sam, image_size_px=sam_size_px)
    size = base.image_size_px if image_size_px is None else image_size_px
    return replace(
        base,
        sam=sam,
        freeze_layers=base.freeze_layers if freeze_layers is None else freeze_layers,
        latent_dim=base.latent_dim if latent_dim is None else latent_dim,
        image_size_px=size,
        picture_rank=base.picture_rank if picture_rank is None else picture_rank,
        picture_basis=base.picture_basis if picture_basis is None else picture_basis,
        decoder_channels=_channels_for(base.decoder_channels, size),
    )


def _channels_for(channels: tuple[int, ...], image_size_px: int) -> tuple[int, ...]:
    """Lengthen or shorten the decoder at its fine end, so that it ends at `image_size_px`."""
    levels = max(image_size_px // LATENT_SIDE, 1).bit_length()
    longer = [channels[-1] // 2**step for step in range(1, levels - len(channels) + 1)]
    return (*channels[:levels], *(max(width, 8) for width in longer))
