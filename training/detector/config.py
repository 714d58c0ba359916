"""The shape of the detector (`DetectorConfig`) and how its training goes (`DetectorRun`): plain data, no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from bundle.landmarks import LETTERBOX_PX
from training.config import ModelConfig, SamShape
from training.errors import ConfigError

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
    """Places that get a fine stage."""
    passes: int = 2
    """fine stages at each: the later ones are framed by the earlier one's box."""
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
    """Pixels of the coarse stage: tokens of at most `TOKEN_PX` px of the letterbox, and no less than SAM's own input."""
    return max(LETTERBOX_PX * sam.patch_size_px // TOKEN_PX, sam.image_size_px)


@dataclass(frozen=True)
class DetectorRun:
    """A training run of the detector: its flags."""

    data: tuple[Path, ...]
    out: Path
    teacher: Path | None = None
    """A checkpoint of `EarVAE`; None: `preset` from random weights."""
    preset: str = "tiny"
    freeze_encoder: bool = False
    labels: float = 1.0
    """Share of the training subjects whose pictures are used."""
    epochs: int = 20
    max_steps: int | None = None
    """Stop after so many steps, whatever the epochs."""
    max_minutes: float | None = None
    crops_per_step: int = 32
    """Framed ears (and other things) per step."""
    scenes: int = 4
    """Whole pictures per step."""
    lr: float = 1e-3
    muon_lr: float = 0.02
    encoder_rate: float = 0.3
    """The encoder's learning rate, as a share of the heads'; from random weights it is 1."""
    weight_decay: float = 0.05
    warmup: float = 0.05
    gradient_clip: float = 5.0
    augment: float = 1.0
    precision: str = "auto"
    accelerator: str = "auto"
    devices: int = 1
    num_workers: int = 0
    seed: int = 0
    val_fraction: float = 0.1
    resume: Path | None = None
    """`checkpoints/last.ckpt` of an interrupted run with the same flags."""

    def __post_init__(self) -> None:
        for name in ("epochs", "crops_per_step", "scenes", "devices"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} {getattr(self, name)}: must be at least 1")
        if not 0 < self.labels <= 1:
            raise ConfigError(f"--labels {self.labels}: a share of the subjects, above 0 to 1")
        for name in ("lr", "muon_lr", "encoder_rate"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be above 0")
        for name in ("max_minutes", "max_steps"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be above 0")
        if not self.data:
            raise ConfigError("--data is missing: give tables with boxes and landmarks, crops and whole pictures alike")
        if self.freeze_encoder and self.teacher is None:
            raise ConfigError("--freeze-encoder with --random-init: frozen random layers never learn; give --teacher")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the machine's paths."""
        values = asdict(self)
        return {
            **values,
            "data": [path.name for path in self.data],
            "out": self.out.name,
            "teacher": None if self.teacher is None else self.teacher.name,
            "resume": None if self.resume is None else self.resume.name,
        }

    def learns_like(self, values: dict[str, Any]) -> list[str]:
        """Flags that differ from those of another run's `to_dict` and change what is learned."""
        own = self.to_dict()
        free = ("out", "resume", "accelerator", "devices", "num_workers", "max_minutes")
        return [f"--{name.replace('_', '-')}" for name in own if name not in free and own[name] != values.get(name)]
