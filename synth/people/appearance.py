"""What somebody looks like besides shape: skin, hair, moles, jewellery.

Skin and hair palettes are linear-light albedos, from light to dark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.arrays import Floats
from synth.people.person import Shape

SKIN = np.array(
    [
        [0.66, 0.44, 0.335], [0.60, 0.375, 0.265], [0.50, 0.295, 0.19], [0.38, 0.205, 0.118], [0.245, 0.122, 0.066],
        [0.125, 0.060, 0.034], [0.07, 0.034, 0.021],
    ]
)  # fmt: skip
HAIR = np.array(
    [
        [0.010, 0.008, 0.007], [0.018, 0.012, 0.009], [0.040, 0.022, 0.013], [0.085, 0.045, 0.022],
        [0.20, 0.115, 0.05], [0.40, 0.235, 0.11], [0.17, 0.055, 0.02], [0.30, 0.29, 0.28], [0.55, 0.54, 0.52],
    ]
)  # fmt: skip
DARK_HAIR, BROWN_HAIR, GREY_HAIR = (0, 1), (0, 1, 2), (7, 8)
METALS = np.array([[0.86, 0.62, 0.28], [0.75, 0.75, 0.74], [0.80, 0.52, 0.42], [0.05, 0.05, 0.055]])
STYLES = ("bald", "buzz", "short", "medium", "long")
STYLE_SHARES = {"male": (0.08, 0.18, 0.40, 0.16, 0.18), "female": (0.01, 0.03, 0.16, 0.28, 0.52)}
PIERCED = ("darwin_point", "helix_superior", "tragus", "helix_posterior")


@dataclass(frozen=True)
class Appearance:
    """Everything that another day, a hairdresser or a jeweller could change, and the skin."""

    seed: int
    """Of the skin's noise."""
    melanin: float
    """0 light to 1 dark."""
    skin: Floats
    """(3,) albedo."""
    redness: float
    mottling: float
    oiliness: float
    roughness: float
    freckles: float
    """Share of cells with a freckle."""
    freckle_strength: float
    moles: Floats
    """(k, 3): place in [0, 1) among the ear's vertices, radius dm, darkness; a person without has one of darkness 0."""
    relief: float
    """Depth of pores and wrinkles."""
    hair: Floats
    """(3,) albedo."""
    grey: float
    """Share of grey strands."""
    style: str
    curl: float
    hairline: float
    """Shift of the hairline, dm."""
    sideburn: float
    stubble: float
    ring: str
    """stud, hoop, drop or nothing."""
    ring_size: float
    metal: Floats
    piercing: str
    """A landmark's name or nothing."""


def draw_appearance(r: np.random.Generator, shape: Shape) -> Appearance:
    """Skin and hair that go with a person's ancestry, sex and age."""
    melanin = float(np.clip(shape.ancestry @ [0.78, 0.38, 0.16] + r.normal(0, 0.12), 0, 1))
    male = shape.male > 0.5
    with_freckles = r.random() < 0.4 * (1.2 - melanin)
    return Appearance(
        seed=int(r.integers(1, 90_000)),
        melanin=melanin,
        skin=_skin(r, melanin),
        redness=float(r.uniform(0.03, 0.32)),
        mottling=float(r.uniform(0.03, 0.14)),
        oiliness=float(r.uniform(0.4, 1.6)),
        roughness=float(r.uniform(0.32, 0.58)),
        freckles=float(r.uniform(0.05, 0.5)) if with_freckles else 0.0,
        freckle_strength=float(r.uniform(0.3, 0.65)),
        moles=_moles(r),
        relief=float(r.uniform(0.6, 1.5) * (1 + 1.2 * shape.old)),
        hair=_hair(r, melanin, shape),
        grey=float(np.clip((shape.old - 0.5) * 0.7, 0, 1)),
        style=str(r.choice(STYLES, p=STYLE_SHARES["male" if male else "female"])),
        curl=float(r.choice([0.0, 0.25, 0.6], p=[0.55, 0.33, 0.12]) if melanin < 0.6 else r.choice([0.3, 0.7, 1.1])),
        hairline=float(r.normal(0, 0.018)),
        sideburn=float(r.uniform(0, 1) if male else r.uniform(0.2, 0.6)),
        stubble=float(r.uniform(0.1, 0.6)) if male and r.random() < 0.5 else 0.0,
        ring=str(r.choice(["stud", "hoop", "drop"])) if r.random() < (0.12 if male else 0.42) else "",
        ring_size=float(r.uniform(0.7, 2.0)),
        metal=METALS[r.choice(len(METALS), p=[0.45, 0.4, 0.1, 0.05])],
        piercing=str(r.choice(PIERCED)) if r.random() < 0.09 else "",
    )


def _skin(r: np.random.Generator, melanin: float) -> Floats:
    step = melanin * (len(SKIN) - 1)
    low = min(int(step), len(SKIN) - 2)
    logs = (1 - step + low) * np.log(SKIN[low]) + (step - low) * np.log(SKIN[low + 1])
    colour: Floats = np.exp(logs + r.normal(0, 0.06, 3) * [1, 1, 1.2] + r.normal(0, 0.05))
    return colour


def _hair(r: np.random.Generator, melanin: float, shape: Shape) -> Floats:
    choices: tuple[int, ...] = BROWN_HAIR
    if shape.old > 0.62 and r.random() < 0.6:
        choices = GREY_HAIR
    elif melanin > 0.45:
        choices = DARK_HAIR
    elif shape.ancestry[2] > 0.45:
        choices = tuple(range(7))
    colour: Floats = HAIR[r.choice(choices)] * np.exp(r.normal(0, 0.14) + r.normal(0, 0.04, 3))
    return colour


def _moles(r: np.random.Generator) -> Floats:
    count = r.poisson(1.1)
    moles = [[r.random(), r.uniform(0.006, 0.016), r.uniform(0.45, 0.9)] for _ in range(count)]
    return np.array(moles or [[0.0, 0.01, 0.0]])
