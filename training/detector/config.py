"""The shape of the detector (`DetectorConfig`) and how its training goes (`DetectorRun`): plain data, no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from bundle.landmarks import LETTERBOX_PX
from common.flags import flag, problem, setting
from training.config import ACCELERATORS, PRECISIONS, refuse
from training.errors import ConfigError
from training.model_config import ModelConfig, SamShape
from training.presets import PRESETS

TOKEN_PX = 16
"""Most pixels of the letterbox that one token of the coarse stage covers: an ear of 40 px is then 2.5 tokens tall."""


@dataclass(frozen=True)
class DetectorConfig:
    """Everything that shapes `EarDetector`. It travels as JSON inside its checkpoints."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The teacher whose encoder crops."""
    num_landmarks: int = 17
    freeze_encoder: bool = False
    coarse_px: int = 0
    """Side that the letterbox is brought to for the coarse stage; 0: `coarse_side` decides."""
    channels: int = 64
    """Of the coarse stage's pyramid; the fine stage's head has half as many again."""
    max_ears: int = 4
    """Places that the fine stage runs at."""
    passes: int = 2
    """Runs of the fine stage at each: the later ones are framed by the earlier one's box."""
    context: float = 0.25
    """Kept around a box for the fine stage, each side, as a share of its longer side."""

    def __post_init__(self) -> None:
        if not self.coarse_px:
            object.__setattr__(self, "coarse_px", coarse_side(self.model.sam))
        if self.coarse_px % self.model.sam.patch_size_px:
            raise ConfigError(f"coarse_px {self.coarse_px}: must be a multiple of {self.model.sam.patch_size_px} px")
        for name in ("num_landmarks", "max_ears", "passes", "channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.channels % 8:
            raise ConfigError(f"channels {self.channels}: must be a multiple of 8")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`. Raises ConfigError on a name this version does not know."""
        unknown = sorted(set(values) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigError(f"detector configuration has unknown entries {unknown}: made by a newer ear-teacher?")
        return cls(**{**values, "model": ModelConfig.from_dict(values["model"])})


def coarse_side(sam: SamShape) -> int:
    """Pixels of the coarse stage: tokens of at most `TOKEN_PX` px of the letterbox, and at least SAM's own input."""
    return max(LETTERBOX_PX * sam.patch_size_px // TOKEN_PX, sam.image_size_px)


@dataclass(frozen=True)
class DetectorRun:
    """A training run of the detector: the flags of `ear-teacher detector train`."""

    data: tuple[Path, ...] = setting(
        help="tables, teacher files or folders with ear boxes and, where known, landmarks: framed ears and whole heads "
        "together", group="data", metavar="PATH",
    )  # fmt: skip
    negatives: tuple[Path, ...] = setting(
        (), "tables or folders of pictures without any ear, for training and validation", "data", metavar="PATH"
    )
    out: Path = setting(Path("runs/detector"), "folder of the run", "data", metavar="FOLDER")
    labels: float = setting(1.0, "use this share of the training subjects", "data", metavar="SHARE", above=0)
    val_fraction: float = setting(0.1, "share of subjects held out where data has no split", "data")
    num_workers: int = setting(0, "processes that compose pictures", "data", least=0)
    teacher: Path | None = setting(None, "a model.ckpt whose encoder to start from", "start", metavar="CKPT")
    preset: str = setting("tiny", "shape of a random encoder", "model", choices=tuple(sorted(PRESETS)))
    freeze_encoder: bool = setting(False, "let only the heads learn", "model")
    epochs: int = setting(20, "passes over the framed ears", "run", least=1)
    max_steps: int | None = setting(None, "stop after so many steps instead", "run", above=0)
    max_minutes: float | None = setting(None, "stop after so many minutes; the schedule ends with it", "run", above=0)
    crops_per_step: int = setting(32, "framed ears per step", "run", least=1)
    scenes: int = setting(4, "whole pictures per step", "run", least=1)
    lr: float = setting(1e-3, "peak learning rate of AdamW", "run", above=0)
    muon_lr: float = setting(0.02, "peak learning rate of Muon, for matrices", "run", above=0)
    encoder_rate: float = setting(0.3, "a teacher's encoder learns at this share of them", "run", above=0)
    weight_decay: float = 0.05
    warmup: float = 0.05
    gradient_clip: float = 5.0
    augment: float = setting(1.0, "strength of the augmentations, 0 for none", "run", least=0)
    resume: Path | None = setting(
        None, "checkpoints/last.ckpt of an interrupted run, whose other flags are repeated", "run", metavar="CKPT"
    )
    seed: int = setting(0, "of weights, order and augmentation", "run", least=0)
    precision: str = setting("auto", "auto: what the hardware is fast in", "machine", choices=PRECISIONS)
    accelerator: str = setting("auto", "auto: a GPU where there is one", "machine", choices=ACCELERATORS)
    devices: int = setting(1, "GPUs, or CPU processes", "machine", least=1)

    def __post_init__(self) -> None:
        refuse(problem(self))
        if self.labels > 1:
            raise ConfigError(f"--labels {self.labels}: a share of the subjects, above 0 to 1")
        if not self.data:
            raise ConfigError("--data is missing: give tables with ear boxes, crops and whole pictures alike")
        if self.freeze_encoder and self.teacher is None:
            raise ConfigError("--freeze-encoder with --random-init: frozen random layers never learn; give --teacher")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the machine's paths."""
        values = asdict(self)
        return {
            **values,
            "data": [path.name for path in self.data],
            "negatives": [path.name for path in self.negatives],
            "out": self.out.name,
            "teacher": None if self.teacher is None else self.teacher.name,
            "resume": None if self.resume is None else self.resume.name,
        }

    def learns_like(self, values: dict[str, Any]) -> list[str]:
        """Flags that differ from those of another run's `to_dict` and change what is learned."""
        own = self.to_dict()
        free = ("out", "resume", "accelerator", "devices", "num_workers", "max_minutes")
        return [flag(name) for name in own if name not in free and own[name] != values.get(name)]
