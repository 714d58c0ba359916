"""How far a variant may stray from torch before it is refused, per precision. Numbers only.

Vectors of every precision of one encoder meet in one gallery, so the limits are about what a user would notice: where a
vector points, how large its error is beside the distance between two DIFFERENT pictures, and which neighbours it finds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ParityLimits:
    """Limits of one precision; a figure exactly at its limit passes."""

    cosine_min: float
    """Least cosine similarity, over all crops, of embedding and of mu with torch's."""
    relative_error_max: float
    """Largest error of embedding and of mu, as a share of the median distance between different pictures."""
    logvar_error_max: float
    """Largest absolute error of logvar, in natural-log units: 0.01 changes a standard deviation by 0.5 %."""
    neighbour_overlap_min: float
    """Mean share of the nearest pictures that stay the nearest."""
    rank1_change_max: float
    """Largest loss of rank-1 identification, absolute (where subjects are known)."""
    eer_change_max: float
    """Largest rise of the equal error rate, absolute (where subjects are known)."""
    psnr_min_db: float
    """Least PSNR of a decoded picture against torch's; 48 dB is an error of one grey level everywhere."""

    def to_dict(self) -> dict[str, float]:
        """As JSON in the manifest, beside the figures they judged."""
        return asdict(self)


LIMITS: dict[str, ParityLimits] = {
    "fp32": ParityLimits(0.99999, 0.01, 0.01, 0.995, 0.002, 0.001, 55.0),
    "fp16": ParityLimits(0.9995, 0.01, 0.05, 0.98, 0.005, 0.002, 45.0),
    # Chosen by name for speed on CPUs, never by `auto`: a few times fp16's room, and still nobody's neighbours change.
    "int8": ParityLimits(0.999, 0.03, 0.1, 0.95, 0.01, 0.005, 45.0),
}

MIN_SPREAD = 1e-4
"""Least median distance between different pictures, as a share of the vectors' length: below it, a graph's output does
not vary and every comparison would pass."""

NEIGHBOURS = 10
"""Neighbours compared, where there are crops enough: never more than a third of the others."""
