"""Hair: strands that grow from the scalp, fall, keep out of the head, and may lie over the ear.

A strand is a polyline in head space. Styles differ in length and number; how much hair lies over the ear is a choice of
the picture, not of the person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from synth.arrays import Bools, Floats, Ints, nearest, smoothstep, unit
from synth.people.appearance import Appearance
from synth.render.bust import Bust
from synth.render.noise import noise_at
from synth.surface import FAR, depth_map


@dataclass(frozen=True)
class Style:
    """Length dm, number of strands in a close-up, points a strand, height above the skin."""

    length: float
    strands: int
    points: int
    lift: float


STYLES = {
    "buzz": Style(0.035, 6500, 3, 0.4),
    "short": Style(0.22, 5500, 6, 1.0),
    "medium": Style(0.65, 4200, 9, 1.2),
    "long": Style(1.9, 3600, 13, 1.3),
}
GREY = 0.16
"""Albedo of a grey strand."""
RELIEF_PIXELS = 96
RELIEF_DM = 3.2


@dataclass(frozen=True)
class Hair:
    """points: (n, k, 3) dm; colours: (n, 3) linear."""

    points: Floats
    colours: Floats


def grow_hair(bust: Bust, look: Appearance, r: np.random.Generator, over: float, whole_head: bool) -> Hair | None:
    """The hair of one picture. over: share of the strands above the ear that fall over it, 0 to 1."""
    if look.style == "bald":
        return None
    style = STYLES[look.style]
    roots = _roots(bust, look, style, r, whole_head)
    if roots is None:
        return None
    start, normal, rest, keep = roots
    direction = _combed(look, rest, start, r, over)
    drape = _draped(start, rest, r, over)
    strands = _grow(bust, look, style, r, start, normal, direction, drape)
    clear = ~_touches_ear(bust, strands) | drape | (r.random(len(strands)) > 0.996)
    strands = strands[keep & clear]
    colours = look.hair * np.exp(r.normal(0, 0.22, (len(strands), 1))) * np.exp(r.normal(0, 0.05, (len(strands), 3)))
    colours[r.random(len(strands)) < look.grey] = GREY
    return Hair(strands, colours)


def _roots(
    bust: Bust, look: Appearance, style: Style, r: np.random.Generator, whole_head: bool
) -> tuple[Floats, Floats, Floats, Bools] | None:
    """Places, normals and rest coordinates (n, 3) of roots, and which of them stay."""
    template, p = bust.template, bust.points
    triangles = template.scalp_triangles
    if not whole_head:
        triangles = triangles[p[triangles[:, 0], 0] > -1.0]
    if len(triangles) == 0:
        return None
    a, b, c = (p[triangles[:, k]] for k in range(3))
    share = np.linalg.norm(np.cross(b - a, c - a), axis=1) * (0.15 + np.clip(template.scalp[triangles].mean(1), 0, 1))
    if not whole_head:  # a close-up needs its hair where it looks
        share *= np.exp(-2 * np.maximum(np.linalg.norm(((a + b + c) / 3)[:, 1:], axis=1) - 0.5, 0))
    count = int(style.strands * (2.0 if whole_head else 1.0))
    chosen = triangles[r.choice(len(triangles), count, p=share / share.sum())]
    mix = r.dirichlet([1, 1, 1], count)[:, :, None]
    rest = (template.mirrored[chosen] * mix).sum(1)
    keep = np.ones(count, bool)
    if look.style in ("buzz", "short"):
        burn = smoothstep(rest[:, 2], 0.10, 0.14) * smoothstep(-rest[:, 1], -0.36, -0.18)
        keep = ~((burn > 0.3) & (rest[:, 1] < 0.28 - 0.4 * look.sideburn - 0.03 * r.random(count)))
    return (p[chosen] * mix).sum(1), unit((bust.normals[chosen] * mix).sum(1)), rest, keep


def _combed(look: Appearance, rest: Floats, start: Floats, r: np.random.Generator, over: float) -> Floats:
    """Which way each strand sets out (n, 3)."""
    long = look.style == "long"
    down = unit(np.array([0, -1.0, -0.28] if long else [0, -0.75, -0.65]) + r.normal(0, 0.10 if long else 0.16, 3))
    top = smoothstep(rest[:, 1], 0.45, 0.95)[:, None]
    direction = unit(down * (1 - top) + unit(np.array([r.normal(0, 0.35), -0.1, -1.0])) * top)
    if look.style in ("medium", "long"):  # temple hair is swept behind the ear unless it lies over it
        front = smoothstep(rest[:, 2], -0.10, 0.12)[:, None] * (1 - over)
        direction = unit(direction * (1 - front) + unit(np.array([0, -0.25 - 0.3 * r.random(), -1.0])) * front)
    locks = np.stack([noise_at(start, 7.0, 11 + look.seed % 997 + c) for c in range(3)], 1)
    return unit(direction + 0.35 * locks + r.normal(0, 0.10, start.shape))


def _draped(start: Floats, rest: Floats, r: np.random.Generator, over: float) -> Bools:
    """Strands that may lie over the ear: a share `over` of those above it, in locks."""
    lock = noise_at(start, 5.0, int(r.integers(1 << 20))) + 0.35 * noise_at(start, 16.0, int(r.integers(1 << 20)))
    limit = np.quantile(lock, over) if over > 0 else -np.inf
    draped: Bools = (rest[:, 1] > 0.27) & (lock < limit)
    return draped


def _grow(
    bust: Bust, look: Appearance, style: Style, r: np.random.Generator, start: Floats, normal: Floats,
    direction: Floats, drape: Bools,
) -> Floats:  # fmt: skip
    """Strands (n, k, 3), one step at a time."""
    n = len(start)
    count = int(style.points * (1.4 + look.curl)) if look.curl > 0.2 else style.points
    pace = (style.length * r.uniform(0.55, 1.15, n) / (count - 1))[:, None]
    height = r.uniform(0.004, 0.05, n) * style.lift
    phase = r.uniform(0, 6.3, n)
    winding = r.uniform(0.5, 1.1, n) * 2 * np.pi * style.length * (1 + look.curl) / 0.30 / count
    skin, tree = _obstacle(bust, include_ear=bool(drape.any()))
    relief = _relief(bust) if drape.any() else None
    at, heading = start + 0.002 * normal, direction
    strands = [at]
    for j in range(1, count):
        lift = normal * (0.9 if look.style in ("buzz", "short") else 0.25) * max(0.0, 1 - j / 3)
        go = heading + lift - [0, 0.12 * (j / count) * (look.style != "short"), 0]
        if look.curl:
            turn = winding * j
            wave = [np.sin(turn + phase), np.cos(0.9 * turn + phase), np.sin(1.1 * turn + 2 * phase)]
            go = go + 0.9 * look.curl * np.stack(wave, 1)
        go = unit(go)
        at = at + go * pace
        if look.style in ("medium", "long") and j > 1:
            heading = unit(heading - [0, 0.16 * 18 / count, 0])
        if j % 2:  # the skin below a strand changes little from one step to the next
            apart, row = nearest(tree, at)
            near = skin[row]
        out = bust.normals[near]
        above = ((at - bust.points[near]) * out).sum(1)
        at = at + np.clip(height * min(1, j / 2) - above, 0, 0.12)[:, None] * out
        into = (heading * out).sum(1, keepdims=True) * out * (apart < 0.15)[:, None]
        heading = unit(0.8 * heading + 0.2 * go - 0.5 * into)
        if relief is not None:
            _lay_over(at, relief, drape, height)
        strands.append(at)
    return np.stack(strands, 1)


def _obstacle(bust: Bust, include_ear: bool) -> tuple[Ints, cKDTree]:
    """A thinned skin that strands are pushed out of; the auricle only where hair lies over it."""
    open_skin = np.ones(len(bust.points), bool) if include_ear else bust.template.auricle < 0.3
    skin = np.where(open_skin)[0][::7]
    skin = skin[np.linalg.norm(bust.points[skin], axis=1) < 2.4]
    return skin, cKDTree(bust.points[skin])


def _relief(bust: Bust) -> Floats:
    """Side view of head and ear as heights x, dm."""
    scale = RELIEF_PIXELS / RELIEF_DM
    p = bust.points
    seen = np.stack([RELIEF_PIXELS / 2 - p[:, 2] * scale, RELIEF_PIXELS / 2 - p[:, 1] * scale, 3 - p[:, 0]], 1)
    depth = depth_map(seen, bust.template.coarse, RELIEF_PIXELS)
    blurred: Floats = gaussian_filter(np.where(depth < FAR / 10, 3 - depth, -2.0), 1.2)
    return blurred


def _lay_over(at: Floats, relief: Floats, drape: Bools, height: Floats) -> None:
    """Raise draped strands onto the ear, in place."""
    scale = RELIEF_PIXELS / RELIEF_DM
    where = [RELIEF_PIXELS / 2 - at[:, 1] * scale, RELIEF_PIXELS / 2 - at[:, 2] * scale]
    ground = map_coordinates(relief, where, order=1, mode="nearest") + 0.02 + 0.6 * height
    m = drape & (at[:, 0] > -0.75) & (np.abs(at[:, 2]) < 0.5)
    at[m, 0] = np.maximum(at[m, 0], np.minimum(ground[m], at[m, 0] + 0.07))


def _touches_ear(bust: Bust, strands: Floats) -> Bools:
    """Strands (n,) that cross the auricle's outline in front of it."""
    ear = bust.points[bust.template.landmarks]
    low, high = ear.min(0), ear.max(0)
    points = np.concatenate([strands, 0.5 * (strands[:, 1:] + strands[:, :-1])], 1)
    y, z = points[..., 1], points[..., 2]
    inside = (y > low[1]) & (y < high[1] + 0.01) & (z > low[2]) & (z < high[2] + 0.02) & (points[..., 0] > -0.10)
    touching: Bools = inside.any(1)
    return touching
