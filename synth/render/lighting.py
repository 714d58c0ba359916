"""The light of a picture: a soft surrounding of sky, ground and lobes, and one key light that casts shadows.

Directions are in head space: x away from the left ear, y up, z to the face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth.arrays import Floats, unit
from synth.compiled import compiled


@dataclass(frozen=True)
class KeyKind:
    """Ranges that one kind of key light is drawn from."""

    share: float
    kelvin: tuple[float, float]
    strength: tuple[float, float]
    """Against surroundings of about 1."""
    softness: float
    """Radius of the penumbra, in pixels of the shadow map."""
    azimuth: float = 80.0
    """Degrees to either side of the ear's axis."""
    elevation: tuple[float, float] = (-15.0, 65.0)


KINDS = {
    "window": KeyKind(0.18, (5000, 8000), (0.9, 2.6), 7.0, 80.0, (0.0, 55.0)),
    "overcast": KeyKind(0.16, (5800, 8000), (0.15, 0.6), 9.0, 75.0, (35.0, 85.0)),
    "sun": KeyKind(0.12, (4300, 6000), (1.8, 5.0), 1.2, 80.0, (15.0, 70.0)),
    "flash": KeyKind(0.22, (5200, 6200), (1.2, 3.5), 1.8, 20.0, (-5.0, 30.0)),
    "indoor": KeyKind(0.28, (2700, 5000), (0.6, 2.2), 4.5, 60.0, (25.0, 80.0)),
    "side": KeyKind(0.04, (3000, 6500), (2.0, 5.0), 2.5, 100.0, (-10.0, 30.0)),
}
BACK_LIT = 0.07
"""Share of directed lights that come from behind."""


@dataclass(frozen=True)
class Light:
    """Radiances are RGB, about 1 for a lit room."""

    kind: str
    azimuth: float
    elevation: float
    """Degrees."""
    direction: Floats
    """(3,) towards the key light."""
    key: Floats
    """(3,)."""
    softness: float
    tint: Floats
    """(3,) of the key light, mean 1; the background is seen in it."""
    sky: Floats
    ground: Floats
    """(3,) each."""
    lobes: Floats
    """(k, 7): direction, sharpness, radiance."""

    def surroundings(self, directions: Floats) -> Floats:
        """Radiance (n, 3) float32 from unit directions (n, 3)."""
        return radiance(directions, self.sky, self.ground, self.lobes)


def draw_light(r: np.random.Generator) -> Light:
    """The light of one picture."""
    name = str(r.choice(list(KINDS), p=[kind.share for kind in KINDS.values()]))
    kind = KINDS[name]
    azimuth, elevation = float(r.uniform(-kind.azimuth, kind.azimuth)), float(r.uniform(*kind.elevation))
    if name not in ("flash", "overcast") and r.random() < BACK_LIT:
        azimuth += math.copysign(r.uniform(60, 95), azimuth)
    a, e = math.radians(azimuth), math.radians(elevation)
    tint = blackbody(r.uniform(*kind.kelvin))
    return Light(
        kind=name,
        azimuth=azimuth,
        elevation=elevation,
        direction=np.array([math.cos(e) * math.cos(a), math.sin(e), math.cos(e) * math.sin(a)]),
        key=tint * r.uniform(*kind.strength),
        softness=kind.softness * float(r.uniform(0.7, 1.4)),
        tint=tint,
        sky=blackbody(r.uniform(4500, 9500)) * r.uniform(0.7, 1.3),
        ground=blackbody(r.uniform(3000, 5500)) * r.uniform(0.08, 0.45),
        lobes=np.stack([_lobe(r) for _ in range(r.integers(2, 5))]),
    )


def _lobe(r: np.random.Generator) -> Floats:
    """(7,): direction, sharpness, radiance."""
    direction = unit(r.normal(size=3) + [0.6, 0.6, 0])
    return np.array([*direction, r.uniform(2, 14), *(blackbody(r.uniform(2800, 8500)) * r.uniform(0.2, 1.8))])


def blackbody(kelvin: float) -> Floats:
    """Rough linear RGB of a colour temperature, mean 1 (fit of T. Helland to CIE 1964 data)."""
    t = kelvin / 100.0
    red = 255.0 if t <= 66 else 329.7 * (t - 60) ** -0.1332
    green = 99.47 * math.log(t) - 161.1 if t <= 66 else 288.1 * (t - 60) ** -0.0755
    blue = 255.0 if t >= 66 else 138.5 * math.log(max(t - 10, 1)) - 305.0
    colour = (np.clip([red, green, blue], 1, 255) / 255.0) ** 2.2
    return np.asarray(colour / colour.mean())


@compiled
def radiance(directions: Floats, sky: Floats, ground: Floats, lobes: Floats) -> Floats:
    """What the surroundings send from each unit direction (n, 3) -> (n, 3) float32."""
    out = np.empty((directions.shape[0], 3), np.float32)
    for i in range(directions.shape[0]):
        up = 0.5 + 0.5 * directions[i, 1]
        for c in range(3):
            out[i, c] = ground[c] * (1 - up) + sky[c] * up
        for k in range(lobes.shape[0]):
            aligned = 0.0
            for c in range(3):
                aligned += directions[i, c] * lobes[k, c]
            glow = np.exp(lobes[k, 3] * (aligned - 1))
            for c in range(3):
                out[i, c] += glow * lobes[k, 4 + c]
    return out


def light_frame(direction: Floats) -> Floats:
    """Rows u, v, w of an orthographic view from a light: depth, along w, grows away from it."""
    d = unit(direction)
    u = unit(np.cross([0.0, 1.0, 0.0] if abs(d[1]) < 0.9 else [1.0, 0.0, 0.0], d))
    return np.stack([u, np.cross(d, u), -d])


def sphere(count: int) -> Floats:
    """Evenly spread unit directions (count, 3): a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    turn = np.pi * (1 + 5**0.5) * i
    return np.stack([np.sqrt(1 - y * y) * np.cos(turn), y, np.sqrt(1 - y * y) * np.sin(turn)], 1)
