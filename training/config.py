"""How a run goes (`TrainConfig`): a dataclass that checks itself.

Plain data: no torch here, so a command line can refuse a flag before anything heavy is imported. The fields made by
`setting` are the flags of `ear-teacher train`, with their help texts.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from common.flags import flag_fields, problem, setting
from common.machine import physical_cores
from common.records.reader import LAYOUT_NAMES
from training.errors import ConfigError
from training.model_config import ModelConfig

PRECISIONS = ("auto", "16-mixed", "bf16-mixed", "32")
ACCELERATORS = ("auto", "cpu", "gpu")


@dataclass(frozen=True)
class LossWeights:
    """`L1 + the terms below, each times its weight`; a weight of 0 leaves its term out. Flags: `--<name>-weight`."""

    perceptual: float = setting(1.5, "VGG16 features", "loss", metavar="W", least=0)
    ssim: float = setting(0.6, "1 - structural similarity", "loss", metavar="W", least=0)
    edge: float = setting(0.3, "Sobel derivatives", "loss", metavar="W", least=0)
    contrastive: float = setting(0.1, "views of one ear attract, other ears repel", "loss", metavar="W", least=0)
    center: float = setting(3.0, "L1, weighted towards the centre", "loss", metavar="W", least=0)
    kl: float = setting(1e-6, "of the latent to the prior, nats", "loss", metavar="W", least=0)
    coarse: float = setting(0.0, "L1 of the decoder's coarse picture, of the whole batch", "loss", metavar="W", least=0)
    landmark: float = setting(
        0.0, "landmarks predicted from mu; needs landmarks in the data", "loss", metavar="W", least=0
    )
    keypoint: float = setting(
        0.0, "the encoder's keypoints drawn to the landmarks; needs landmarks and a preset with keypoints", "loss",
        metavar="W", least=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        refuse(problem(self, suffix="_weight"))


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on, besides the pictures."""

    data: Path = setting(
        help="train_teacher.npy or its folder, a metadata.csv, or a folder of pictures", group="data", metavar="PATH"
    )
    out: Path = setting(Path("runs/ears"), "folder of the run", "data", metavar="FOLDER")
    model: ModelConfig = field(default_factory=ModelConfig)
    val: Path | None = setting(
        None, "validation pictures (default: val_teacher.npy beside --data, else the rows with split=val, else a share "
        "of the subjects)", "data", metavar="PATH",
    )  # fmt: skip
    val_fraction: float = setting(0.1, "that share, 0 to 1", "data")
    layout: str = setting("auto", "how the pictures are kept; auto says what it took", "data", choices=LAYOUT_NAMES)
    subject_pattern: str | None = setting(
        None, "subjects, and sides, from file names: groups (?P<subject>...), (?P<side>...); others become attributes",
        "data", metavar="REGEX",
    )  # fmt: skip
    crop: str = setting(
        "box",
        "box: frame each ear by its box where there is one; none: whole pictures",
        "data",
        choices=("box", "none"),
    )
    hold_crops: str = setting(
        "auto", "keep framed crops in memory; auto: while they take under a quarter of it", "data",
        choices=("auto", "yes", "no"),
    )  # fmt: skip
    skip_unreadable: bool = setting(False, "leave out pictures that cannot be read", "data")
    augment: float = setting(1.0, "strength of the augmentations, 0 for none", "data", least=0)

    sam_weights: str | None = setting(
        "facebook/sam-vit-base", "pretrained SAM", "model", metavar="ID|FOLDER",
        default_help="facebook/sam-vit-base for the teacher, none for presets trained from scratch",
    )  # fmt: skip
    vgg_weights: Path | None = setting(None, "torchvision's VGG16, for the perceptual term", "model", metavar="FILE")
    init_from: Path | None = setting(
        None, "start from the networks of a checkpoint (model.ckpt) or of a bundle, whose shape is kept", "model",
        metavar="CKPT|BUNDLE",
    )  # fmt: skip

    epochs: int = setting(60, "passes over the training pictures", "run", least=1)
    batch_size: int = setting(4, "pictures per step and device", "run", least=1)
    max_minutes: float | None = setting(None, "stop after so many minutes; the schedule ends with it", "run", above=0)
    stop_after_epochs: int | None = setting(
        None, "end this session after so many epochs, the schedule untouched; --resume goes on", "run", above=0
    )
    resume: Path | None = setting(
        None, "continue exactly from checkpoints/last.ckpt; all flags come from it, and --epochs may be raised", "run",
        metavar="CKPT",
    )  # fmt: skip
    compile: bool = setting(
        False, "torch.compile the networks, at fixed shapes: minutes at the start, for long runs on a GPU", "machine"
    )
    seed: int = setting(0, "of weights, order, augmentation and noise", "run", least=0)
    fast_dev_run: bool = setting(False, "one step of training and validation, files written", "run")

    losses: LossWeights = field(default_factory=LossWeights)

    temperature: float = setting(0.1, "of the contrastive term", "identity", above=0)
    views: int = setting(
        2,
        "augmented views of each picture in a step; 1 suffices where subjects have several pictures",
        "identity",
        least=1,
    )
    identity: str = setting(
        "ear", "what attracts, where subjects are known: one (subject, side), or both ears of a subject", "identity",
        choices=("ear", "subject"),
    )  # fmt: skip
    per_identity: int = setting(4, "pictures of one identity together in a batch", "identity", least=1)
    identity_head: str = setting(
        "trained", "W as the contrastive term made it, or fitted in closed form at the end: to the subjects or, "
        "without any, to augmented views", "identity", choices=("trained", "fitted"),
    )  # fmt: skip

    optimizer: str = setting("adamw", "adamw, or muon for the matrices", "optimiser", choices=("adamw", "muon"))
    lr: float = setting(3e-4, "peak learning rate of AdamW", "optimiser", above=0)
    muon_lr: float = setting(0.02, "peak learning rate of Muon", "optimiser", above=0)
    warmup: float = setting(0.05, "share of the run over which the rate rises", "optimiser", least=0, below=1)
    weight_decay: float = setting(0.05, "of matrices", "optimiser", least=0)
    gradient_clip: float = setting(1.0, "largest norm of the gradient, 0: not clipped", "optimiser", least=0)
    ema_decay: float = setting(
        0.0, "of the averaged weights that are validated and saved, 0: none", "optimiser", least=0, below=1
    )
    decode_every: int = setting(1, "decode every n-th picture of a batch", "optimiser", metavar="N", least=1)

    precision: str = setting("auto", "auto: what the hardware is fast in", "machine", choices=PRECISIONS)
    num_workers: int = setting(
        lambda: min(4, physical_cores()), "processes that read pictures, per device", "machine",
        default_help="cores, at most 4", least=0,
    )  # fmt: skip
    cache_frozen_gib: float = setting(
        0.0, "memory for the frozen layers' output of validation pictures and, with --augment 0, of training pictures",
        "machine", metavar="GIB", least=0,
    )  # fmt: skip
    devices: int = setting(1, "GPUs (or CPU processes) per node", "machine", least=1)
    num_nodes: int = setting(1, "machines", "machine", least=1)
    strategy: str = setting("auto", "how devices work together", "machine", choices=("auto", "ddp", "fsdp"))
    accelerator: str = setting("auto", "auto: a GPU where there is one", "machine", choices=ACCELERATORS)

    def __post_init__(self) -> None:
        refuse(problem(self))
        self._check_combinations()

    def _check_combinations(self) -> None:
        alone = self.batch_size * self.devices * self.num_nodes == 1
        if alone and self.losses.contrastive > 0 and not self.fast_dev_run:
            raise ConfigError(
                f"--batch-size 1 with --contrastive-weight {self.losses.contrastive}: other ears cannot repel in a "
                "batch of one; give --batch-size 2 or more, or --contrastive-weight 0"
            )
        random = self.sam_weights is None and self.init_from is None
        if self.model.freeze_layers and random and not self.fast_dev_run:
            raise ConfigError(
                f"--random-init with --freeze-layers {self.model.freeze_layers}: frozen random layers never learn; "
                "give --freeze-layers 0, or --sam-weights"
            )
        if self.strategy == "fsdp" and (self.ema_decay or self.optimizer == "muon"):
            raise ConfigError("--strategy fsdp shards the weights: --ema-decay and --optimizer muon need them whole")
        if self.cache_frozen_gib and (not self.model.freeze_layers or self.strategy == "fsdp"):
            raise ConfigError(
                f"--cache-frozen-gib {self.cache_frozen_gib} needs frozen layers (--freeze-layers is "
                f"{self.model.freeze_layers}) and whole weights (--strategy is {self.strategy}); give 0"
            )
        if self.losses.keypoint > 0 and not self.model.keypoints:
            raise ConfigError(
                f"--keypoint-weight {self.losses.keypoint}: preset {self.model.preset} has no keypoints; give 0"
            )

    def to_dict(self, reproducible: bool = False) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back.

        reproducible: leave out how sessions were cut, so that the run is made anew from its start.
        """
        values: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))  # paths become strings
        cut = ("resume", "stop_after_epochs") if reproducible else ()
        return {name: value for name, value in values.items() if name not in cut}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict` (or its JSON).

        Raises:
            ConfigError: `values` has a name this version does not know.
        """
        unknown = sorted(set(values) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigError(f"run configuration has unknown entries {unknown}: was it made by another ear-teacher?")
        paths = {name: Path(values[name]) for name in PATHS if values.get(name)}
        nested = {"model": ModelConfig.from_dict(values["model"]), "losses": LossWeights(**values["losses"])}
        return cls(**{**values, **nested, **paths})


PATHS = ("data", "out", "val", "vgg_weights", "init_from", "resume")
"""Fields that name a place on this machine."""
CHOICES = {
    name: item.metadata["choices"] for name, item in flag_fields(TrainConfig).items() if item.metadata["choices"]
}
"""Values that flags with a fixed choice take."""


def refuse(problem: str | None) -> None:
    """Raises ConfigError with what `common.flags.problem` found wrong."""
    if problem is not None:
        raise ConfigError(problem)
