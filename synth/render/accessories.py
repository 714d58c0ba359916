"""Jewellery and the temple of a pair of glasses, as triangles with a material and a colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from synth.arrays import Floats, Ints, unit
from synth.people.appearance import Appearance
from synth.render.bust import Bust

SKIN, METAL, PLASTIC, EYE = range(4)
"""Materials of triangles."""


@dataclass(frozen=True)
class Part:
    """A solid of one material. points: (k, 3) dm in head space; triangles: (t, 3)."""

    points: Floats
    triangles: Ints
    material: int
    colour: Floats


def jewellery(bust: Bust, look: Appearance, r: np.random.Generator) -> list[Part]:
    """A person's ring and piercing, hanging as they do in one picture."""
    parts = []
    if look.ring:
        lobe = bust.template.points["lobe_centre"]
        at, out, size = bust.points[lobe], bust.normals[lobe], look.ring_size
        if look.ring == "stud":
            parts = [ball(at + out * 0.008, 0.021 * size)]
        elif look.ring == "drop":
            low = at + out * 0.02
            wire = np.array([at + out * 0.014, low - [0, 0.08 * size, 0], low - [0, 0.13 * size, 0]])
            parts = [ball(at + out * 0.01, 0.012 * size), tube(wire, 0.004, 0.004)]
            parts.append(ball(low - [0, 0.15 * size, 0], 0.026 * size))
        else:
            parts = [_hoop(at + out * 0.004, 0.085 * size, r.uniform(0.5, 1.1))]
    if look.piercing:
        where = bust.template.points[look.piercing]
        parts.append(ball(bust.points[where] + bust.normals[where] * 0.006, 0.013))
    return [Part(points, triangles, METAL, look.metal) for points, triangles in parts]


def _hoop(top: Floats, radius: float, turn: float) -> tuple[Floats, Ints]:
    angle = np.linspace(0, 2 * np.pi, 49)[:, None]
    plane = np.array([math.cos(turn), 0, math.sin(turn)])
    return tube(top - [0, radius, 0] + radius * (np.cos(angle) * [0, 1, 0] + np.sin(angle) * plane), 0.0075, 0.0075)


def glasses(bust: Bust, r: np.random.Generator) -> Part:
    """The temple that runs from the face over the ear's root."""
    root = bust.points[bust.template.points["helix_anterosuperior"]] + [-0.085, 0.02, 0.01]
    p = bust.points
    face = p[(np.abs(p[:, 1] - root[1]) < 0.12) & (p[:, 2] > 0.2) & (p[:, 2] < 0.55)]
    beside = face[:, 0].max() + 0.03 if len(face) else 0.0
    knots = np.array(
        [
            [beside - 0.02, root[1] + 0.05, 1.0], [beside, root[1] + 0.045, 0.62],
            [max(beside, root[0]), root[1] + 0.035, 0.3], [root[0] + 0.01, root[1] + 0.02, 0.1],
            root + [0, 0, -0.08], root + [-0.03, -0.10, -0.2], root + [-0.05, -0.25, -0.25],
        ]
    )  # fmt: skip
    steps = np.linspace(0, 6, 60)
    path = np.stack([np.interp(steps, np.arange(7), knots[:, k]) for k in range(3)], 1)
    thick = r.uniform(0.014, 0.032)
    points, triangles = tube(gaussian_filter(path, (2, 0), mode="nearest"), thick * 0.5, thick)
    return Part(points, triangles, PLASTIC, np.exp(r.normal(-3.0, 0.9)) * np.exp(r.normal(0, 0.3, 3)))


def tube(path: Floats, across: float, up: float, sides: int = 10) -> tuple[Floats, Ints]:
    """Triangles around a path (k, 3); radii `across` and `up`, dm."""
    path = np.asarray(path, float)
    along = unit(np.gradient(path, axis=0))
    u = unit(np.cross(along, [0, 1.0, 0.01]))
    v = np.cross(along, u)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = across * np.cos(angle)[None, :, None] * u[:, None] + up * np.sin(angle)[None, :, None] * v[:, None]
    return (path[:, None] + ring).reshape(-1, 3), _lattice(len(path), sides)


def ball(centre: Floats, radius: float) -> tuple[Floats, Ints]:
    """A sphere of 14 rings."""
    tilt = np.linspace(0.02, math.pi - 0.02, 14)[:, None]
    turn = np.linspace(2 * np.pi, 0, 20, endpoint=False)[None]
    shell = np.stack(np.broadcast_arrays(np.sin(tilt) * np.cos(turn), np.cos(tilt), np.sin(tilt) * np.sin(turn)), -1)
    return shell.reshape(-1, 3) * radius + centre, _lattice(14, 20)


def _lattice(rings: int, sides: int) -> Ints:
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    k = (j + 1) % sides
    a, b, c, d = i * sides + j, i * sides + k, (i + 1) * sides + k, (i + 1) * sides + j
    return np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))]).astype(np.int32)
