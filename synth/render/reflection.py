"""How skin answers light, pixel by pixel: diffuse, mirrored, under the skin, and through thin cartilage.

Works on p pixels at once: normals, tilts and views are (p, 3), colours linear RGB.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from synth.arrays import Bools, Floats, dot, unit
from synth.compiled import compiled

SCATTERING_DM = ((0.007, 0.022, 0.40), (0.004, 0.011, 0.30), (0.003, 0.007, 0.25))
"""Per channel: radii of a narrow and a wide blur under the skin, and the wide one's share."""


@compiled
def reflect(
    normal: Floats, tilt: Floats, ambient: Floats, openness: Floats, albedo: Floats, view: Floats,
    lit: Floats, towards: Floats, key: Floats, alpha: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Irradiance (p, 3) of the surface and what it mirrors of the key light (p, 3); `alpha`: GGX roughness squared."""
    count = normal.shape[0]
    under, over = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    for i in range(count):
        bx, by, bz = normal[i, 0] + tilt[i, 0], normal[i, 1] + tilt[i, 1], normal[i, 2] + tilt[i, 2]
        length = math.sqrt(bx * bx + by * by + bz * bz) + 1e-9
        bx, by, bz = bx / length, by / length, bz / length
        smooth = normal[i, 0] * towards[0] + normal[i, 1] * towards[1] + normal[i, 2] * towards[2]
        rough = bx * towards[0] + by * towards[1] + bz * towards[2]
        diffuse = min(max(0.75 * smooth + 0.25 * rough, 0.0), 1.0) * lit[i]
        buried = 0.6 + 0.4 * openness[i]  # neighbours that darken the folds are themselves dark there
        sky = 1 + 0.35 * (by - normal[i, 1])
        hx, hy, hz = towards[0] + view[i, 0], towards[1] + view[i, 1], towards[2] + view[i, 2]
        length = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
        half = min(max((bx * hx + by * hy + bz * hz) / length, 0.0), 1.0)
        facing = max(bx * view[i, 0] + by * view[i, 1] + bz * view[i, 2], 0.02)
        grazing = 1 - min(max((hx * view[i, 0] + hy * view[i, 1] + hz * view[i, 2]) / length, 0.0), 1.0)
        a2 = alpha[i] * alpha[i]
        lobe = a2 / (math.pi * (half * half * (a2 - 1) + 1) ** 2)
        fresnel = 0.028 + 0.972 * grazing**5
        rough = min(max(rough, 0.0), 1.0)
        mirror = lobe * fresnel * 0.25 / (rough * 0.5 + facing * 0.5 + 0.1) * rough * lit[i] * math.pi * 0.25
        for c in range(3):
            bounce = 1 + (1 - openness[i]) * 0.30 * albedo[i, c] / (1 - 0.7 * albedo[i, c])
            under[i, c] = (ambient[i, c] * sky * buried + key[c] * diffuse) * bounce
            over[i, c] = mirror * key[c]
    return under, over


@compiled
def translucency(normal: Floats, auricle: Floats, blocked: Floats, towards: Floats, melanin: float) -> Floats:
    """Share (p, 3) of the key light that comes through the auricle from behind; red goes deepest."""
    out = np.zeros((normal.shape[0], 3), np.float32)
    reach = (0.075, 0.028, 0.018)
    tint = (1.0, 0.40, 0.26)
    for i in range(normal.shape[0]):
        if auricle[i] <= 0:
            continue
        behind = -(normal[i, 0] * towards[0] + normal[i, 1] * towards[1] + normal[i, 2] * towards[2])
        t = min(max((behind + 0.05) / 0.65, 0.0), 1.0)
        gain = t * t * (3 - 2 * t) * auricle[i] * 0.35 * (1 - 0.55 * melanin)
        for c in range(3):
            out[i, c] = gain * tint[c] * math.exp(-(blocked[i] + 0.022) / (reach[c] * (1 - 0.45 * melanin)))
    return out


def mirrored(normal: Floats, tilt: Floats, view: Floats) -> Floats:
    """Directions (p, 3) that the viewer sees in the surface."""
    bumped = unit(normal + tilt)
    out: Floats = 2 * dot(bumped, view)[:, None] * bumped - view
    return out


def ambient_shine(normal: Floats, openness: Floats, view: Floats, mirror: Floats) -> Floats:
    """What skin mirrors of the surroundings (p, 3): more at grazing angles, none in folds."""
    facing = np.clip(dot(normal, view), 0.02, 1)
    share: Floats = (0.025 + 0.35 * (1 - facing) ** 5) * 0.55 * openness**1.5
    return share[:, None] * mirror


def scattered(under: Floats, skin: Bools, solid: Bools, px: float) -> Floats:
    """Irradiance (p, 3) after light has wandered under the skin; `px` pixels per dm."""
    flesh = np.zeros(solid.shape, np.float32)
    flesh[solid] = skin
    out = under.copy()
    for c, radii in enumerate(SCATTERING_DM):
        image = np.zeros(solid.shape, np.float32)
        image[solid] = under[:, c] * skin
        blurred = np.zeros(solid.shape, np.float32)
        for radius, share in ((radii[0], 1 - radii[2]), (radii[1], radii[2])):
            sigma = max(radius * px, 0.3)
            spread = gaussian_filter(flesh, sigma, truncate=2.0)
            blurred += share * gaussian_filter(image, sigma, truncate=2.0) / np.maximum(spread, 1e-3)
        out[:, c] = np.where(skin, 0.35 * under[:, c] + 0.65 * blurred[solid], under[:, c])
    return out
