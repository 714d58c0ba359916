"""How an ear is framed: the numbers of the rule that turns a picture and a box into the model's square crop.

The rule travels in the manifest and is part of `space_id`: vectors of two framings never meet. Knows no pixels;
`bundle.image.frame` applies it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bundle.errors import BadBox, ManifestError

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels; the origin is the picture's top-left corner, x2 and y2 are exclusive edges."""

MIN_BOX_SIDE_PX = 2.0
MIN_SHARE_INSIDE = 0.25


@dataclass(frozen=True)
class Framing:
    """The framing rule: box + `margin` each side, squared around its centre, padded, resized to `size_px`."""

    size_px: int = 128
    """Side of the model's square input, in pixels."""
    margin: float = 0.10
    """Added on each side of the box, as a share of the box's width and height."""
    pad: str = "edge"
    """What lies outside the picture: its edge pixels."""
    resample: str = "bicubic"
    """Antialiased bicubic interpolation (Pillow's, a = -0.5)."""
    alpha_grey: int = 128
    """Transparent pixels are laid over this grey, 0 to 255."""

    def __post_init__(self) -> None:
        if not 16 <= self.size_px <= 1024:
            raise ManifestError(f"framing size_px is {self.size_px}; allowed are 16 to 1024")
        if not 0.0 <= self.margin <= 1.0:
            raise ManifestError(f"framing margin is {self.margin}; allowed are 0 to 1 (a share of the box)")
        if self.pad != "edge" or self.resample != "bicubic":
            raise ManifestError(
                f"framing pad={self.pad!r}, resample={self.resample!r} is unknown here; this version knows pad='edge', "
                "resample='bicubic'. Update ear-teacher, or export the bundle again."
            )
        if not 0 <= self.alpha_grey <= 255:
            raise ManifestError(f"framing alpha_grey is {self.alpha_grey}; allowed are 0 to 255")

    def to_dict(self) -> dict[str, int | float | str]:
        """As JSON in the manifest; `from_dict` gives the same Framing back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Framing:
        """Raises ManifestError on a name that this version does not know."""
        allowed = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - allowed):
            raise ManifestError(
                f"framing has unknown entries {unknown}; known are {sorted(allowed)}. Update ear-teacher."
            )
        return cls(**values)


DEFAULT_FRAMING = Framing()


def check_box(box: Box, width: int, height: int) -> Box:
    """The box as floats, or BadBox: it must be finite, ordered, at least 2 px wide and high, and a quarter inside."""
    coordinates = f"({', '.join(str(value) for value in box)})"
    try:
        values = tuple(float(value) for value in box)
    except (TypeError, ValueError):
        values = ()
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise BadBox(f"box {coordinates} is not four finite numbers x1, y1, x2, y2 in pixels")
    x1, y1, x2, y2 = values
    if x2 <= x1 or y2 <= y1:
        raise BadBox(f"box {coordinates} is empty or reversed: x2 must exceed x1 and y2 exceed y1, in pixels")
    if min(x2 - x1, y2 - y1) < MIN_BOX_SIDE_PX:
        raise BadBox(
            f"box {coordinates} is under {MIN_BOX_SIDE_PX:g} px wide or high; boxes are in pixels, not in fractions"
        )
    inside = max(0.0, min(x2, width) - max(x1, 0.0)) * max(0.0, min(y2, height) - max(y1, 0.0))
    if inside <= 0.0:
        raise BadBox(f"box {coordinates} lies wholly outside the picture of {width}x{height} px")
    if inside < MIN_SHARE_INSIDE * (x2 - x1) * (y2 - y1):
        raise BadBox(
            f"box {coordinates} lies mostly outside the picture of {width}x{height} px; a quarter must be inside"
        )
    return (x1, y1, x2, y2)


def square(box: Box | None, width: int, height: int, margin: float) -> Box:
    """The square to frame, in pixels of a picture of `width` x `height`; it may reach outside. No box: all of it."""
    x1, y1, x2, y2 = (0.0, 0.0, float(width), float(height)) if box is None else box
    grow = 0.0 if box is None else 2.0 * margin
    half = max(x2 - x1, y2 - y1) * (1.0 + grow) / 2.0
    centre_x, centre_y = (x1 + x2) / 2.0, (y1 + y2) / 2.0
    return (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
