"""Drawn pictures without ears, (height, width, 3) float64 in linear light: what a detector of ears trips over."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, zoom

from synth.arrays import Floats, unit
from synth.camera.background import draw_background
from synth.people.appearance import SKIN

Draw = Callable[[np.random.Generator, int, int], Floats]


def texture(r: np.random.Generator, height: int, width: int) -> Floats:
    """Cloud-like noise of several scales, stretched, sometimes folded into ridges."""
    grey = fractal(r, height, width, r.uniform(0.35, 0.8))
    if r.random() < 0.5:
        grey = np.abs(grey - 0.5) * 2
    return coloured(r, grey)


def gradient(r: np.random.Generator, height: int, width: int) -> Floats:
    """A plain gradient between two colours, straight or round."""
    y, x = grid(height, width)
    angle = r.uniform(0, 2 * math.pi)
    t = math.cos(angle) * x + math.sin(angle) * y if r.random() < 0.6 else np.hypot(x - r.uniform(), y - r.uniform())
    return coloured(r, (t - t.min()) / np.ptp(t))


def text(r: np.random.Generator, height: int, width: int) -> Floats:
    """A page of print, turned a little."""
    side = int(1.5 * max(height, width))
    page = Image.new("L", (side, side), int(r.integers(200, 256)))
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(float(r.integers(9, 40)))
    letters = list("etaoinshrdlucmfwypvbgkqjxz   ETAOINS 0123456789.,;()&@")
    step = int(font.getbbox("Ag")[3] * r.uniform(1.1, 1.7))
    for y in range(0, side, max(step, 4)):
        line = "".join(r.choice(letters, int(r.integers(40, 220))))
        pen.text((int(r.integers(0, 40)), y), line, int(r.integers(0, 90)), font)
    page = page.rotate(float(r.normal(0, 25)), Image.Resampling.BILINEAR, fillcolor=220)
    left, top = (side - width) // 2, (side - height) // 2
    grey = np.asarray(page.crop((left, top, left + width, top + height)), float) / 255
    shade = 1 - r.uniform(0, 0.5) * fractal(r, height, width, 0.3)
    return np.asarray((grey**2.2 * shade)[..., None] * np.exp(r.normal(0, 0.08, 3)))


def moon(r: np.random.Generator, height: int, width: int) -> Floats:
    """A lit ball with craters before the dark or the sky."""
    y, x = grid(height, width)
    radius, cx, cy = r.uniform(0.12, 0.45), *r.uniform(0.35, 0.65, 2)
    u, v = (x - cx) / radius, (y - cy) / radius
    inside = u * u + v * v < 1
    depth = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    light = unit(r.normal(size=3) + [0, 0, 0.7])
    shade = np.clip(u * light[0] + v * light[1] + depth * light[2], 0, 1)
    relief = 1 - 0.6 * fractal(r, height, width, 0.6)
    sky = draw_background(r, height, width, np.ones(3)) * r.uniform(0, 0.3)
    ball = (shade * relief)[..., None] * np.exp(r.normal(0, 0.15, 3))
    return np.asarray(np.where(inside[..., None], ball, sky))


def whorl(r: np.random.Generator, height: int, width: int) -> Floats:
    """Shells, roses and cups: rings and spirals in relief, lit from a side."""
    y, x = grid(height, width)
    relief = np.zeros((height, width))
    for _ in range(r.integers(1, 5)):
        cx, cy = r.uniform(0.1, 0.9, 2)
        stretch, turn = r.uniform(0.5, 1.6), r.uniform(0, math.pi)
        u = (x - cx) * math.cos(turn) + (y - cy) * math.sin(turn)
        v = ((y - cy) * math.cos(turn) - (x - cx) * math.sin(turn)) * stretch
        out, angle = np.hypot(u, v), np.arctan2(v, u)
        waves = np.sin(2 * math.pi * out * r.uniform(6, 25) + r.integers(-2, 3) * angle)
        relief += waves * np.exp(-((out / r.uniform(0.08, 0.3)) ** 2)) * r.uniform(0.5, 2)
    return lit(r, gaussian_filter(relief, 2) * 4, SKIN[r.integers(len(SKIN))] if r.random() < 0.6 else None)


def hands(r: np.random.Generator, height: int, width: int) -> Floats:
    """A palm and fingers of one skin, as rounded bars, before a background."""
    y, x = grid(height, width)
    relief = np.full((height, width), -1.0)
    palm = r.uniform(0.3, 0.7, 2)
    size, heading = r.uniform(0.08, 0.2), r.uniform(0, 2 * math.pi)
    relief = np.maximum(relief, capsule(x, y, palm, palm + 0.3 * size, size))
    for k in range(5):
        angle = heading + (k - 2) * r.uniform(0.15, 0.4)
        way = np.array([math.cos(angle), math.sin(angle)])
        tip = palm + way * size * r.uniform(1.8, 3.2)
        relief = np.maximum(relief, capsule(x, y, palm + way * size * 0.7, tip, size * r.uniform(0.2, 0.32)))
    skin = lit(r, gaussian_filter(np.maximum(relief, 0), 1.5) * height / 2, SKIN[r.integers(len(SKIN))])
    behind = draw_background(r, height, width, np.ones(3))
    return np.asarray(np.where((relief > 0)[..., None], skin, behind))


def blobs(r: np.random.Generator, height: int, width: int) -> Floats:
    """Skin with folds: elbows, knees, noses and bellies, more or less."""
    relief = gaussian_filter(fractal(r, height, width, r.uniform(0.2, 0.45)), r.uniform(2, 8)) * height / 2
    for _ in range(r.integers(1, 7)):
        y, x = grid(height, width)
        a, b = r.uniform(0, 1, (2, 2))
        relief += r.choice([-1, 1]) * height / 14 * np.maximum(capsule(x, y, a, b, r.uniform(0.02, 0.15)), 0) / 0.1
    return lit(r, gaussian_filter(relief, 3), SKIN[r.integers(len(SKIN))])


def shapes(r: np.random.Generator, height: int, width: int) -> Floats:
    """Blurred or sharp boxes, discs and bars: rooms without people."""
    return draw_background(r, height, width, np.exp(r.normal(0, 0.2, 3)))


DOODLES: dict[str, Draw] = {
    "texture": texture, "gradient": gradient, "text": text, "moon": moon, "whorl": whorl, "hands": hands,
    "blobs": blobs, "shapes": shapes,
}  # fmt: skip


def grid(height: int, width: int) -> tuple[Floats, Floats]:
    """Rows and columns in [0, 1] of the longer side."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    return y, x


def fractal(r: np.random.Generator, height: int, width: int, keep: float) -> Floats:
    """Noise (height, width) in [0, 1]; each finer octave has `keep` of the strength of the one before."""
    total = np.zeros((height, width))
    stretch = r.uniform(0.4, 2.5)
    for octave in range(1, 7):
        rows, columns = max(int(2**octave * stretch), 2), max(int(2**octave / stretch), 2)
        coarse = r.normal(size=(rows, columns))
        fine = zoom(coarse, (height / rows, width / columns), order=1, grid_mode=True, mode="nearest")
        total += keep**octave * fine[:height, :width]
    return np.asarray((total - total.min()) / np.ptp(total))


def coloured(r: np.random.Generator, grey: Floats) -> Floats:
    """Grey in [0, 1] -> a mix of two colours."""
    a, b = np.exp(r.normal(-1.2, 0.8, (2, 3)))
    return np.asarray(a + (b - a) * grey[..., None])


def lit(r: np.random.Generator, relief: Floats, albedo: Floats | None) -> Floats:
    """A relief in pixels seen from above under one light and some sky."""
    dy, dx = np.gradient(relief)
    normal = unit(np.stack([-dx, -dy, np.ones_like(relief)], -1))
    light = unit(np.array([*r.normal(size=2), r.uniform(0.3, 1.5)]))
    shade = np.clip(normal @ light, 0, 1) * r.uniform(0.6, 1.5) + 0.3 * normal[..., 2]
    colour = np.exp(r.normal(-1, 0.5, 3)) if albedo is None else albedo
    return np.asarray(shade[..., None] * colour)


def capsule(x: Floats, y: Floats, a: Floats, b: Floats, radius: float) -> Floats:
    """Height of a round bar from a to b above the plane, negative outside."""
    along = b - a + 1e-9
    t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / (along @ along), 0, 1)
    away = np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1])
    return np.asarray(np.where(away < radius, np.sqrt(np.clip(radius**2 - away**2, 0, None)), radius - away))
