"""What a finished picture is: a JPEG and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

from synth.arrays import Floats, Ints


@dataclass(frozen=True)
class Ear:
    """One ear in a picture, in its pixels; the origin is the top-left corner."""

    side: str
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2, cut at the picture's edges."""
    landmarks: Floats
    """(17, 2)."""
    visible: Ints
    """(17,) 1 where nothing hides the landmark."""
    hair: float
    """Share of the ear that hair covers."""

    @property
    def occluded(self) -> bool:
        """Hair over more than an eighth of the ear, or fewer than 13 landmarks to be seen."""
        return bool(self.hair > 0.12 or self.visible.sum() < 13)


@dataclass(frozen=True)
class Picture:
    """One file of a set."""

    subject: str
    image: str
    jpeg: bytes
    ears: tuple[Ear, ...]
    facts: dict[str, str | float | int]
    """How it was taken: columns of metadata.csv."""
