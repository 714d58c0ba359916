"""Strands of hair to pixels: lit as thin fibres (Kajiya and Kay 1989), drawn back to front, anti-aliased."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from synth.arrays import Floats, dot, smoothstep, unit
from synth.camera.pose import Camera
from synth.compiled import compiled
from synth.render.hair import Hair
from synth.render.lighting import Light

WIDTH_DM = 0.0042
COVER_DM = 0.0060
"""Width that a strand stands for: more than its own, since one is drawn where several grow."""
MARGIN_PX = 9


@dataclass(frozen=True)
class Segments:
    """Parts of strands inside the frame. Points are (x px, y px, depth)."""

    start: Floats
    end: Floats
    middle: Floats
    """(s, 3) in head space."""
    along: Floats
    """(s, 3) unit."""
    place: Floats
    """(s,) in [0, 1] from root to tip."""
    colour: Floats


def cut(hair: Hair, camera: Camera, height: int, width: int) -> Segments:
    """The segments of all strands that the picture may show."""
    p = hair.points
    seen = camera.project(p)
    a, b = seen[:, :-1].reshape(-1, 3), seen[:, 1:].reshape(-1, 3)
    low, high = np.minimum(a, b), np.maximum(a, b)
    inside = (high[:, 0] > -MARGIN_PX) & (low[:, 0] < width + MARGIN_PX)
    inside &= (high[:, 1] > -MARGIN_PX) & (low[:, 1] < height + MARGIN_PX) & (low[:, 2] > 0)
    steps = p.shape[1] - 1
    return Segments(
        a[inside],
        b[inside],
        (0.5 * (p[:, 1:] + p[:, :-1])).reshape(-1, 3)[inside],
        unit(p[:, 1:] - p[:, :-1]).reshape(-1, 3)[inside],
        np.tile(np.linspace(0, 1, steps), len(p))[inside],
        np.repeat(hair.colours, steps, 0)[inside],
    )


def shade_segments(cut: Segments, camera: Camera, light: Light, lit: Floats, gloss: float) -> Floats:
    """Colours (s, 3); lit: (s,) share of the key light that reaches each."""
    view = unit(camera.position - cut.middle)
    with_light, with_view = cut.along @ light.direction, dot(cut.along, view)
    across_light = np.sqrt(np.clip(1 - with_light**2, 0, 1))
    across_view = np.sqrt(np.clip(1 - with_view**2, 0, 1))
    outward = unit(cut.middle + [0.55, 0.1, 0.1])
    side = 0.35 + 0.65 * np.clip((outward @ light.direction) * 0.6 + 0.5, 0, 1)  # the mass shades itself
    mirror = across_light * across_view - with_light * with_view
    sharp, broad = np.clip(mirror, 0, 1) ** 40, np.clip(mirror + 0.05, 0, 1) ** 12
    ambient = light.surroundings(unit(cut.middle + [0.5, -0.1, 0])) * 0.55
    direct = (lit * side)[:, None] * light.key
    diffuse = cut.colour * (ambient + direct * 0.8 * across_light[:, None])
    shine = direct * (0.035 * sharp[:, None] + 0.30 * cut.colour * broad[:, None]) * gloss
    return (diffuse + shine) * (0.35 + 0.65 * smoothstep(cut.place, 0, 0.35))[:, None]


def draw_hair(
    rgb: Floats, depth: Floats, cut: Segments, colours: Floats, camera: Camera, light: Light
) -> tuple[Floats, Floats]:
    """Hair over a picture (H, W, 3) with depths (H, W): the picture and the hair's cover (H, W)."""
    px = camera.scale
    width = np.clip(WIDTH_DM * px, 0.8, 4)
    widths = width * (1 - 0.6 * cut.place**3)
    alphas = np.clip(COVER_DM * px / width, 0.25, 0.9) * (1 - 0.45 * cut.place**2)
    order = np.argsort(-(cut.start[:, 2] + cut.end[:, 2]))
    painted = np.zeros_like(rgb)
    cover = np.zeros(depth.shape, np.float32)
    draw_strands(
        cut.start[order], cut.end[order], colours[order], alphas[order], widths[order], depth, 0.012, painted, cover
    )
    towards = (camera.turn @ light.direction)[:2]
    offset = np.clip(-towards[::-1] * 0.05 * px, -20, 20)
    cast = shift(gaussian_filter(cover, max(0.03 * px, 1)), offset, order=0, mode="nearest")
    shaded = rgb * (1 - 0.5 * cast[..., None])
    return shaded * (1 - cover[..., None]) + painted, cover


@compiled
def draw_strands(
    start: Floats, end: Floats, colours: Floats, alphas: Floats, widths: Floats, depth: Floats, bias: float,
    rgb: Floats, cover: Floats,
) -> None:  # fmt: skip
    """Blend segments, in the order given, over premultiplied `rgb` and `cover`, in place."""
    height, width = depth.shape
    for i in range(start.shape[0]):
        dx, dy, dz = end[i, 0] - start[i, 0], end[i, 1] - start[i, 1], end[i, 2] - start[i, 2]
        length = max(abs(dx), abs(dy))
        if length < 1e-6 or length > 4000:
            continue
        count = int(length) + 1
        steep = abs(dy) >= abs(dx)
        half = widths[i] * 0.5 * math.sqrt(dx * dx + dy * dy) / length
        for k in range(count):
            t = (k + 0.5) / count
            x, y, z = start[i, 0] + dx * t, start[i, 1] + dy * t, start[i, 2] + dz * t
            middle = x if steep else y
            for q in range(int(math.floor(middle - half)), int(math.floor(middle + half)) + 1):
                part = min(q + 1.0, middle + half) - max(q + 0.0, middle - half)
                px = q if steep else int(math.floor(x))
                py = int(math.floor(y)) if steep else q
                if part <= 0 or px < 0 or py < 0 or px >= width or py >= height or z > depth[py, px] + bias:
                    continue
                a = alphas[i] * min(part, 1.0)
                for c in range(3):
                    rgb[py, px, c] = rgb[py, px, c] * (1 - a) + a * colours[i, c]
                cover[py, px] = cover[py, px] * (1 - a) + a
