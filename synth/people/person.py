"""Who somebody is: the numbers that stay the same in all pictures of a person.

A person is a function of (seed, subject) alone. Shape and appearance are drawn from separate streams, so that one can
be drawn anew without the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.arrays import Floats

SIDES = ("left", "right")
EAR_TARGETS = {
    "flap": ("flap-decr", "flap-incr", 0.22),
    "lobe": ("lobe-decr", "lobe-incr", 0.18),
    "turn": ("rot-backward", "rot-forward", 0.16),
    "size": ("scale-decr", "scale-incr", 0.16),
    "depth": ("scale-depth-decr", "scale-depth-incr", 0.10),
    "height": ("scale-vert-decr", "scale-vert-incr", 0.08),
    "forward": ("trans-backward", "trans-forward", 0.15),
    "up": ("trans-down", "trans-up", 0.12),
    "wing": ("wing-decr", "wing-incr", 0.30),
}
"""Targets that oppose each other (decrease, increase) and the deviation of their signed weight."""
EAR_SHAPES = {"shape-pointed": 0.04, "shape-round": 0.08, "shape-square": 0.05, "shape-triangle": 0.03}
HEAD_PAIRS = (
    "head-angle", "head-back-scale-depth", "head-fat", "head-scale-depth", "head-scale-horiz", "head-scale-vert"
)  # fmt: skip
HEAD_SHAPES = ("diamond", "oval", "rectangular", "round", "square", "triangular", "invertedtriangular")
NOISE_SCALES = ((0.22, 0.007), (0.10, 0.004), (0.05, 0.0015))
"""(length, size) in dm of the smooth random displacement at each scale."""
WAVE_SHARES = np.array([0.4, 1.0, 1.0])
"""Of x, y and z: where a part lies tells people apart, how deep it is looks like a change of light."""
WAVES = 24
RIDGE_SHIFT_DM = np.array([0.0, 0.012, 0.024, 0.028, 0.018])
"""Deviation of each ridge point's place between people; the antitragus stays, for it is a landmark of its own."""
RIDGE_DM = np.array([0.052, 0.032, 0.040])
"""Mean height of the antihelix's stem, superior and inferior crus."""
RIDGE_DEVIATION_DM = np.array([0.009, 0.008, 0.009])
BOTH_EARS = 0.12
"""Deviation between a person's two ears, as a share of the deviation between people."""


@dataclass(frozen=True)
class EarShape:
    """One ear. Amounts are in decimetres or in weights of targets; ridge values are described in head/relief.py."""

    targets: dict[str, float]
    shapes: dict[str, float]
    asymmetry: Floats
    """(4,) weights of the asymmetry targets."""
    modes: Floats
    """(40,) standard deviations along the scans' components."""
    scan_share: float
    """0: the sculpted ear's relief, 1: the mean scanned ear's."""
    fields: Floats
    """(fields,) standard normal."""
    flattening: float
    """How far the sculpted antihelix is taken away, 0 to 1."""
    ridge_shift: Floats
    """(5, 2) dm."""
    ridge_widths: Floats
    ridge_heights: Floats
    """(3,) dm each."""
    groove_width: float
    groove_depth: float
    """Of the scapha, dm."""


@dataclass(frozen=True)
class Shape:
    """A person's head and two ears."""

    ancestry: Floats
    """(3,) shares, sum 1."""
    male: float
    old: float
    weight: float
    """-1 thin to 1 heavy."""
    head: dict[str, float]
    face: int
    """Seed of the facial features."""
    ears: dict[str, EarShape]
    wave_vectors: Floats
    """(3, WAVES, 3) 1/dm."""
    wave_phases: Floats
    """(3, WAVES)."""
    wave_sizes: Floats
    """(3, WAVES, 3) dm."""


def draw_shape(seed: int, subject: int, attempt: int, fields: int, modes: int) -> Shape:
    """The shape of a person; `attempt` counts draws that were refused as implausible."""
    r = np.random.default_rng([seed, subject, attempt, 77])
    both = _draw_ear(r, fields, modes, None)
    lengths, sizes = np.array(NOISE_SCALES).T[:, :, None, None]
    return Shape(
        ancestry=r.dirichlet([0.7, 0.7, 0.7]),
        male=float(np.clip(r.choice([0.1, 0.9]) + r.normal(0, 0.08), 0, 1)),
        old=float(r.beta(1.1, 2.0)),
        weight=float(np.clip(r.normal(0, 0.5), -1, 1)),
        head=_draw_head(r),
        face=int(r.integers(1 << 30)),
        ears={side: _draw_ear(r, fields, modes, both) for side in SIDES},
        wave_vectors=r.normal(size=(3, WAVES, 3)) / lengths,
        wave_phases=r.uniform(0, 2 * np.pi, (3, WAVES)),
        wave_sizes=r.normal(size=(3, WAVES, 3)) * WAVE_SHARES * sizes / np.sqrt(WAVES / 2),
    )


def _draw_head(r: np.random.Generator) -> dict[str, float]:
    """Signed weights of the head's targets by name."""
    weights: dict[str, float] = {}
    for name in HEAD_PAIRS:
        amount = clipped(r, 0.45)
        less, more = ("in", "out") if name == "head-angle" else ("decr", "incr")
        weights[f"{name}-{more if amount > 0 else less}"] = abs(amount)
    return weights | {f"head-{name}": max(0.0, clipped(r, 0.4)) for name in HEAD_SHAPES}


def _draw_ear(r: np.random.Generator, fields: int, modes: int, both: EarShape | None) -> EarShape:
    """What both ears share (`both` is None), or one ear: that, and a little of its own."""
    if both is None:
        return EarShape(
            targets={name: clipped(r, spread) for name, (_, _, spread) in EAR_TARGETS.items()},
            shapes={name: max(0.0, clipped(r, spread)) for name, spread in EAR_SHAPES.items()},
            asymmetry=0.15 * np.clip(r.normal(size=4), -2.2, 2.2),
            modes=1.0 * np.clip(r.normal(size=modes), -2.5, 2.5),
            scan_share=float(r.uniform(-0.1, 1.05)),
            fields=0.7 * np.clip(r.normal(size=fields), -2.3, 2.3),
            flattening=float(r.uniform(0.35, 1.1)),
            ridge_shift=np.clip(r.normal(size=(5, 2)), -2, 2) * RIDGE_SHIFT_DM[:, None],
            ridge_widths=np.array([0.023, 0.026, 0.016]) * np.exp(0.30 * r.normal(size=3)),
            ridge_heights=np.maximum(RIDGE_DM + RIDGE_DEVIATION_DM * r.normal(size=3), 0),
            groove_width=0.017 * float(np.exp(r.normal(0, 0.2))),
            groove_depth=0.027 + clipped(r, 0.006),
        )
    own = BOTH_EARS
    return EarShape(
        targets={n: v + clipped(r, own * EAR_TARGETS[n][2]) for n, v in both.targets.items()},
        shapes={n: max(0.0, v + clipped(r, 0.05)) for n, v in both.shapes.items()},
        asymmetry=both.asymmetry + 0.08 * r.normal(size=4),
        modes=both.modes + own * r.normal(size=modes),
        scan_share=both.scan_share,
        fields=both.fields + own * r.normal(size=fields),
        flattening=both.flattening,
        ridge_shift=both.ridge_shift + own * RIDGE_SHIFT_DM[:, None] * r.normal(size=(5, 2)),
        ridge_widths=both.ridge_widths * np.exp(0.05 * r.normal(size=3)),
        ridge_heights=both.ridge_heights + 0.002 * r.normal(size=3),
        groove_width=both.groove_width,
        groove_depth=both.groove_depth + 0.0015 * float(r.normal()),
    )


def clipped(r: np.random.Generator, deviation: float) -> float:
    """A normal draw without its far tails."""
    return float(np.clip(r.normal(), -2.2, 2.2) * deviation)
