"""The shape of the networks (`ModelConfig`) and how a run goes (`TrainConfig`): dataclasses that check themselves.

Plain data: no torch here, so a command line can refuse a flag before anything heavy is imported.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from common.machine import physical_cores
from training.errors import ConfigError

LATENT_SIDE = 4  # the decoder starts from, and the encoder ends at, a 4 x 4 grid
SAM_SIZES_PX = (1024, 896, 672, 448, 224)
"""Input sizes offered for pretrained SAM ViT-B. Multiples of 224 leave no padding in its 14 x 14 token windows."""

CHOICES = {
    "precision": ("auto", "16-mixed", "bf16-mixed", "32"),
    "crop": ("box", "none"),
    "hold_crops": ("auto", "yes", "no"),
    "identity": ("ear", "subject"),
    "identity_head": ("trained", "fitted"),
    "optimizer": ("adamw", "muon"),
    "strategy": ("auto", "ddp", "fsdp"),
    "accelerator": ("auto", "cpu", "gpu"),
}
"""Values that flags with a fixed choice take."""


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
    """How many of the latents, the last ones, are principal components of the small picture, read from the crop and
    drawn again linearly: for small models. 0: none, the whole latent comes from SAM."""
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
                f"picture's principal components; give at least {self.picture_rank + 1}"
            )
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


@dataclass(frozen=True)
class LossWeights:
    """`L1 + the terms below, each times its weight`; a weight of 0 leaves its term out."""

    perceptual: float = 1.5
    ssim: float = 0.6
    edge: float = 0.3
    contrastive: float = 0.1
    center: float = 3.0
    kl: float = 1e-6
    coarse: float = 0.0
    """L1 of the decoder's coarse picture, of every picture of the batch, however few are decoded in full."""
    landmark: float = 0.0
    """Landmarks read from mu by a linear layer that only training has; needs landmarks in the data."""
    keypoint: float = 0.0
    """The encoder's first keypoints drawn to the landmarks; needs landmarks, and a preset with keypoints."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 0:
                raise ConfigError(f"--{item.name}-weight {getattr(self, item.name)}: must not be negative")


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on, besides the pictures."""

    data: Path
    out: Path
    model: ModelConfig = field(default_factory=ModelConfig)
    val: Path | None = None
    val_fraction: float = 0.1
    crop: str = "box"
    hold_crops: str = "auto"
    """Whether framed crops stay in memory: "auto" while they take under a quarter of it."""
    skip_unreadable: bool = False

    epochs: int = 60
    batch_size: int = 4
    """Pictures per step and device; the contrastive term sees two views of each."""
    max_minutes: float | None = None
    """Stop, and finish the learning-rate schedule, after this time."""
    stop_after_epochs: int | None = None
    """End this session after so many epochs, the schedule untouched; `resume` goes on."""
    lr: float = 3e-4
    warmup: float = 0.05
    """Share of the run over which the learning rate rises to `lr`."""
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0: not clipped."""
    ema_decay: float = 0.0
    """Of the running average of the weights that is validated and saved; 0: none is kept."""
    losses: LossWeights = field(default_factory=LossWeights)
    temperature: float = 0.1
    views: int = 2
    """Augmented views of each picture in a step; 1 suffices where subjects are known: their other pictures attract."""
    identity: str = "ear"
    """What attracts where subjects are known: pictures of one (subject, side), or of one subject, both ears."""
    per_identity: int = 4
    """Pictures of one identity put together in a batch, where subjects are known."""
    identity_head: str = "trained"
    """W of the identity head: what the contrastive term made it, or a closed form (`training/networks/lda.py`)."""
    decode_every: int = 1
    """Only every n-th picture of a batch is decoded: the decoder is the dear part of a small model."""
    optimizer: str = "adamw"
    muon_lr: float = 0.02
    augment: float = 1.0
    """Strength of all augmentations; 0: none, 1: as documented."""

    sam_weights: str | None = "facebook/sam-vit-base"
    """Hub id or folder; None: random initialisation."""
    vgg_weights: Path | None = None
    precision: str = "auto"
    num_workers: int = field(default_factory=lambda: min(4, physical_cores()))
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    accelerator: str = "auto"
    seed: int = 0
    resume: Path | None = None
    fast_dev_run: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "devices", "num_nodes", "per_identity", "views", "decode_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} {getattr(self, name)}: must be at least 1")
        for name in ("lr", "muon_lr", "temperature"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{flag(name)} {getattr(self, name)}: must be above 0")
        for name in ("weight_decay", "gradient_clip", "augment", "num_workers", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{flag(name)} {getattr(self, name)}: must not be negative")
        for name in ("warmup", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} {getattr(self, name)}: must be from 0 to below 1")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{flag(name)} {getattr(self, name)!r}: must be one of {', '.join(allowed)}")
        for name in ("max_minutes", "stop_after_epochs"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ConfigError(f"{flag(name)} {getattr(self, name)}: must be above 0")
        self._check_combinations()

    def _check_combinations(self) -> None:
        alone = self.batch_size * self.devices * self.num_nodes == 1
        if alone and self.losses.contrastive > 0 and not self.fast_dev_run:
            raise ConfigError(
                f"--batch-size 1 with --contrastive-weight {self.losses.contrastive}: other ears cannot repel in a "
                "batch of one; give --batch-size 2 or more, or --contrastive-weight 0"
            )
        if self.model.freeze_layers and self.sam_weights is None and not self.fast_dev_run:
            raise ConfigError(
                f"--random-init with --freeze-layers {self.model.freeze_layers}: frozen random layers never learn; "
                "give --freeze-layers 0, or --sam-weights"
            )
        if self.strategy == "fsdp" and (self.ema_decay or self.optimizer == "muon"):
            raise ConfigError("--strategy fsdp shards the weights: --ema-decay and --optimizer muon need them whole")
        if self.losses.keypoint > 0 and not self.model.keypoints:
            raise ConfigError(
                f"--keypoint-weight {self.losses.keypoint}: preset {self.model.preset} has no keypoints; give 0"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))  # paths become strings
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict` (or its JSON)."""
        paths = {
            name: Path(values[name]) for name in ("data", "out", "val", "vgg_weights", "resume") if values.get(name)
        }
        nested = {"model": ModelConfig.from_dict(values["model"]), "losses": LossWeights(**values["losses"])}
        return cls(**{**values, **nested, **paths})


def flag(name: str) -> str:
    """The command line's spelling of a field."""
    return "--" + name.replace("_", "-")
