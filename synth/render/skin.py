"""The surface of a head, pixel by pixel: its colour, its pores, and where hair, cloth, brows and lips cover the skin.

Everything is a function of rest coordinates, so that marks stay on their place of the skin whatever the pose.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from synth.arrays import Floats
from synth.compiled import compiled
from synth.people.appearance import Appearance
from synth.render.bust import Bust
from synth.render.noise import noise, slope, spots

SCALP_COVER = {"bald": 0.12, "buzz": 0.75, "short": 0.9, "medium": 0.95, "long": 0.95}
"""How much of the scalp's skin the roots of the hair hide."""
EYE_DM = np.array([0.2886, 0.192])
"""Middle of an eye: from the middle of the face, and above the ear's centre."""
IRIS_DM, PUPIL_DM = 0.060, 0.024
FACE_X_DM = 0.6996
"""Distance of the ear's centre from the middle of the head."""


class Paint(NamedTuple):
    """What `paint` needs of a person and a picture; a NamedTuple because compiled code can read it."""

    seed: int
    skin: Floats
    hair: Floats
    cloth: Floats
    redness: float
    flush: float
    mottling: float
    freckles: float
    freckle_strength: float
    stubble: float
    cover: float
    hairline: float
    burn_cut: float
    relief: float
    collar: float
    """Height of the collar in rest coordinates, dm."""
    canal: Floats
    """(3,) rest place of the ear canal, which is dark inside."""


def make_paint(look: Appearance, bust: Bust, flush: float, relief: float, cloth: Floats, collar: float) -> Paint:
    """A person's skin in one picture. flush: reddening of the ear today; relief: gain of pores and wrinkles."""
    template = bust.template
    return Paint(
        seed=look.seed + (0 if bust.side == "left" else 5000),
        skin=look.skin.astype(np.float64),
        hair=look.hair.astype(np.float64),
        cloth=np.asarray(cloth, np.float64),
        redness=look.redness,
        flush=flush,
        mottling=look.mottling,
        freckles=look.freckles,
        freckle_strength=look.freckle_strength,
        stubble=look.stubble,
        cover=SCALP_COVER[look.style],
        hairline=look.hairline,
        burn_cut=0.45 if look.style in ("buzz", "short") and look.sideburn > 0.4 else 0.8,
        relief=look.relief * relief,
        collar=collar,
        canal=template.rest[template.points["canal"]].astype(np.float64),
    )


def placed_moles(look: Appearance, bust: Bust) -> Floats:
    """(k, 5): rest position, radius dm, darkness."""
    on_ear = bust.template.box_points[(look.moles[:, 0] * len(bust.template.box_points)).astype(int)]
    return np.hstack([bust.template.rest[on_ear], look.moles[:, 1:3]]).astype(np.float64)


@compiled
def step(x: float, low: float, high: float) -> float:
    """Smoothstep of one value."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@compiled
def paint(rest: Floats, auricle: Floats, scalp: Floats, p: Paint, moles: Floats) -> tuple[Floats, Floats, Floats]:
    """Of p pixels: albedo (p, 3), tilt of the normal by pores (p, 3), and bareness (p,): skin 1, hair or cloth 0."""
    count = rest.shape[0]
    albedo = np.empty((count, 3), np.float32)
    tilt = np.empty((count, 3), np.float32)
    bare = np.empty(count, np.float32)
    for i in range(count):
        x, y, z = rest[i, 0], rest[i, 1], rest[i, 2]
        low = noise(x * 5, y * 5, z * 5, p.seed)
        middle = noise(x * 22, y * 22, z * 22, p.seed + 1)
        high = noise(x * 90, y * 90, z * 90, p.seed + 2)
        red = p.redness * (1.2 * auricle[i] * (0.7 + 0.6 * low) + 0.25) + 0.10 * low + p.flush * auricle[i]
        red = min(max(red, 0.0), 0.6)
        blotch = p.mottling * (low + 0.7 * middle)
        freckle = 0.0
        if p.freckles > 0:
            freckle = p.freckle_strength * spots(x / 0.045, y / 0.045, z / 0.045, p.freckles, p.seed + 9)
        dark = 1.0
        for k in range(moles.shape[0]):
            away = math.sqrt((x - moles[k, 0]) ** 2 + (y - moles[k, 1]) ** 2 + (z - moles[k, 2]) ** 2)
            dark *= 1 - moles[k, 4] * (1 - step(away, moles[k, 3] * 0.5, moles[k, 3] * 1.2))
        albedo[i, 0] = p.skin[0] * math.exp(-0.10 * red) * (1 + 0.5 * blotch + 0.05 * high) * (1 - 0.55 * freckle)
        albedo[i, 1] = p.skin[1] * math.exp(-0.85 * red) * (1 + 0.8 * blotch + 0.05 * high) * (1 - 0.75 * freckle)
        albedo[i, 2] = p.skin[2] * math.exp(-0.75 * red) * (1 + 0.9 * blotch + 0.05 * high) * (1 - 0.85 * freckle)
        dark *= 1 - 0.85 * math.exp(-(((x - p.canal[0]) ** 2 + (y - p.canal[1]) ** 2 + (z - p.canal[2]) ** 2) / 0.0012))
        beard = stubble_at(x, y, z, auricle[i], p)
        cover = scalp_at(x, y, z, scalp[i], p)
        brow = brow_at(x, y, z)
        lip = lip_at(x, y, z)
        for c in range(3):
            a = albedo[i, c] * dark
            a = a * (1 - 0.6 * beard) + 0.36 * beard * p.hair[c]
            a = a * (1 - cover) + 0.55 * cover * p.hair[c]
            a = a * (1 - 0.8 * brow) + 0.56 * brow * p.hair[c]
            albedo[i, c] = a * (1 - lip * (0.1 if c == 0 else 0.4))
        bare[i] = 1 - 0.85 * cover
        if y < p.collar + 0.05 * low:
            bare[i] = 0.0
            for c in range(3):
                albedo[i, c] = p.cloth[c] * (1 + 0.25 * high + 0.15 * middle)
        coarse = slope(x * 55, y * 55, z * 55, p.seed + 3)
        fine = slope(x * 130, y * 130, z * 130, p.seed + 4)
        pore = slope(x * 280, y * 280, z * 280, p.seed + 5)
        for c in range(3):
            tilt[i, c] = 0.05 * p.relief * (0.55 * coarse[c] + 0.75 * fine[c] + 0.5 * pore[c])
    return albedo, tilt, bare


@compiled
def stubble_at(x: float, y: float, z: float, auricle: float, p: Paint) -> float:
    """Cover of a shaven beard in [0, 1]."""
    if p.stubble <= 0 or auricle > 0.1:
        return 0.0
    where = step(z, 0.12, 0.25) * step(-y, -0.05, 0.15) * step(y, -1.0, -0.85)
    return where * p.stubble * (0.6 + 0.5 * noise(x * 160, y * 160, z * 160, p.seed + 5))


@compiled
def scalp_at(x: float, y: float, z: float, scalp: float, p: Paint) -> float:
    """Cover of the hair's roots in [0, 1]; thinner on the sideburns."""
    here = scalp * (1 - p.burn_cut * step(z, 0.10, 0.14) * step(-y, -0.45, -0.25))
    if here > 0.05:
        here += 2 * p.hairline
    cover = min(max(here, 0.0), 1.0) * p.cover
    return min(max(cover * (1 + 0.35 * noise(x * 190, y * 66, z * 190, p.seed + 6)), 0.0), 1.0)


@compiled
def brow_at(x: float, y: float, z: float) -> float:
    """Eyebrows."""
    if z < 0.6:
        return 0.0
    across = abs(x + FACE_X_DM)
    line = 0.33 + 0.05 * step(across, 0.1, 0.3) - 0.12 * step(across, 0.35, 0.55)
    return math.exp(-(((y - line) / 0.03) ** 2)) * step(across, 0.1, 0.16) * step(-across, -0.55, -0.45)


@compiled
def lip_at(x: float, y: float, z: float) -> float:
    """Lips."""
    if z < 0.84:
        return 0.0
    return math.exp(-(((y + 0.46) / 0.075) ** 2 + ((x + FACE_X_DM) / 0.2) ** 2))


def eye_colours(rest: Floats, melanin: float) -> Floats:
    """Albedo (p, 3) of eyeballs that look straight ahead: white, iris and pupil."""
    away = np.hypot(np.abs(rest[:, 0] + FACE_X_DM) - EYE_DM[0], rest[:, 1] - EYE_DM[1])
    iris = np.array([0.05, 0.03, 0.02]) + (1 - melanin) ** 3 * np.array([0.04, 0.08, 0.10])
    colours = np.where((away < IRIS_DM)[:, None], iris, np.array([0.40, 0.37, 0.35]))
    colours[away < PUPIL_DM] = 0.005
    return colours
