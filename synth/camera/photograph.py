"""Linear light -> the bytes of a JPEG, as a camera makes them.

In this order: defocus and motion in linear light, exposure metered on the ear, white balance that misses, sensor noise
before the demosaicing blur, tone curve and colour matrix, sharpening halos, a smaller picture enlarged again, JPEG.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

from synth.arrays import Bools, Floats


@dataclass(frozen=True)
class Settings:
    """How one picture was taken. Lengths are pixels of the finished picture."""

    defocus: float
    motion: float
    """Length of the smear."""
    motion_angle: float
    exposure: float
    """Mean of the skin before the tone curve, for light skin."""
    white_balance: Floats
    """(3,) gains."""
    adaption: float
    """How far the camera takes the illuminant's colour away, 0 to 1."""
    shot: float
    read: float
    """Noise: sqrt(light * shot^2 + read^2)."""
    chroma_noise: float
    """Blur of the noise's colour, as cheap noise reduction leaves it."""
    gamma: float
    contrast: float
    """Strength of the tone curve's S."""
    lift: float
    """Light that the lens scatters over everything."""
    saturation: float
    grey: bool
    sharpening: float
    sharpening_radius: float
    small: float
    """Height in pixels of the ear in the picture that was really taken; the result is enlarged from it."""
    jpeg: int
    """Quality."""
    second_jpeg: int
    """Quality of a second saving, 0 for none."""
    chroma_halved: bool


def draw_settings(r: np.random.Generator, ear_px: float) -> Settings:
    """The camera of one picture whose ear is `ear_px` high."""
    small = ear_px
    if r.random() < 0.15:
        small = min(ear_px, math.exp(r.uniform(math.log(28), math.log(max(ear_px, 30)))))
    blurred = r.random()
    jpeg = int(r.integers(25, 55)) if r.random() < 0.1 else int(r.integers(55, 97))
    return Settings(
        defocus=abs(float(r.normal(0, 0.4))) if blurred < 0.85 else float(r.uniform(0.6, 2.2)),
        motion=float(r.uniform(1, 6)) if r.random() < 0.06 else 0.0,
        motion_angle=float(r.uniform(0, math.pi)),
        exposure=math.exp(r.normal(math.log(0.28), 0.32)),
        white_balance=np.exp(r.normal(0, 0.05, 3)),
        adaption=float(r.uniform(0.5, 1.0)),
        shot=math.exp(r.normal(math.log(0.009), 0.6)),
        read=math.exp(r.normal(math.log(0.0022), 0.6)),
        chroma_noise=float(r.uniform(0, 2.5)),
        gamma=float(np.exp(r.normal(0, 0.12))),
        contrast=float(r.uniform(-0.1, 0.5)),
        lift=float(r.uniform(0, 0.06)) if r.random() < 0.3 else 0.0,
        saturation=float(r.uniform(0.65, 1.3)),
        grey=bool(r.random() < 0.04),
        sharpening=float(r.uniform(0.2, 1.6)) if r.random() < 0.55 else 0.0,
        sharpening_radius=float(r.uniform(0.6, 1.6)),
        small=small,
        jpeg=jpeg,
        second_jpeg=int(r.integers(40, 92)) if r.random() < 0.2 else 0,
        chroma_halved=jpeg < 80 or r.random() < 0.5,
    )


def take(
    linear: Floats, supersampling: int, ear: tuple[slice, slice], skin: Bools, illuminant: Floats, melanin: float,
    ear_px: float, settings: Settings, r: np.random.Generator,
) -> bytes:  # fmt: skip
    """The JPEG of a rendered picture.

    linear: (H s, W s, 3); ear: its rows and columns there; skin: (H s, W s) bare skin; illuminant: (3,).
    """
    image = _lens(linear, supersampling, settings)
    image = image * _exposure(linear, ear, skin, melanin, settings) * _balance(illuminant, settings)
    image = _shrunk(image, supersampling, settings.small / ear_px)
    image = _tone(_sensor(image, settings, r), settings)
    image = _sharpened(image, settings)
    eight = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
    size = (linear.shape[1] // supersampling, linear.shape[0] // supersampling)
    if eight.size != size:
        eight = eight.resize(size, Image.Resampling.BICUBIC if settings.jpeg % 2 else Image.Resampling.BILINEAR)
    for quality in (settings.second_jpeg, settings.jpeg):
        if quality:
            content = _jpeg(eight, quality, settings.chroma_halved)
            eight = Image.open(io.BytesIO(content))
    return content


def _lens(image: Floats, s: int, settings: Settings) -> Floats:
    if settings.defocus * s > 0.2:
        image = gaussian_filter(image, (settings.defocus * s, settings.defocus * s, 0), truncate=3)
    if settings.motion:
        length, angle = settings.motion * s, settings.motion_angle
        steps = np.linspace(-0.5, 0.5, max(3, int(length)))
        moves = [(t * length * math.sin(angle), t * length * math.cos(angle), 0) for t in steps]
        image = np.mean([shift(image, np.round(move), order=0, mode="nearest") for move in moves], axis=0)
    if settings.lift:
        image = image * (1 - settings.lift) + settings.lift * image.mean((0, 1))
    return image


def _exposure(image: Floats, ear: tuple[slice, slice], skin: Bools, melanin: float, settings: Settings) -> float:
    """The gain that brings the ear's bare skin to its brightness; dark skin stays darker."""
    around = image[ear][skin[ear]] if skin[ear].mean() > 0.1 else image[skin]
    luminance = float(np.mean(around @ [0.25, 0.6, 0.15])) if len(around) else 1.0
    return settings.exposure * (1 - 0.5 * melanin) / max(luminance, 1e-6)


def _balance(illuminant: Floats, settings: Settings) -> Floats:
    gains: Floats = (illuminant / illuminant.mean()) ** -settings.adaption * settings.white_balance
    return gains


def _shrunk(image: Floats, s: int, by: float) -> Floats:
    """From the supersampled picture to the size that is really taken, `by` of the finished one."""
    image = np.asarray(sum(image[i::s, j::s] for i in range(s) for j in range(s)) / (s * s))
    if by > 0.97:
        return image
    size = (max(round(image.shape[1] * by), 8), max(round(image.shape[0] * by), 8))
    planes = [Image.fromarray(image[..., c].astype(np.float32)).resize(size, Image.Resampling.BOX) for c in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def _sensor(image: Floats, settings: Settings, r: np.random.Generator) -> Floats:
    light = np.maximum(image, 0)
    noise = r.normal(size=light.shape) * np.sqrt(light * settings.shot**2 + settings.read**2)
    if settings.chroma_noise > 0.3:
        grey = noise.mean(2, keepdims=True)
        coloured = gaussian_filter(noise - grey, (settings.chroma_noise, settings.chroma_noise, 0))
        noise = grey + coloured * (1 + 0.7 * settings.chroma_noise)
    noisy: Floats = np.maximum(light + noise, 0)
    return noisy


def _tone(image: Floats, settings: Settings) -> Floats:
    """Highlights rolled off, sRGB's curve, an S around mid-grey, saturation."""
    image = np.where(image > 0.7, 0.7 + 0.3 * (1 - np.exp(-(image - 0.7) / 0.3)), image)
    value = np.where(image < 0.0031308, 12.92 * image, 1.055 * np.maximum(image, 1e-9) ** (1 / 2.4) - 0.055)
    value = np.clip(value, 0, 1) ** settings.gamma
    value = value + settings.contrast * value * (1 - value) * (2 * value - 1) * 1.5
    grey = value @ np.array([0.30, 0.59, 0.11])
    saturation = 0.0 if settings.grey else settings.saturation
    toned: Floats = grey[..., None] + (value - grey[..., None]) * saturation
    return toned


def _sharpened(image: Floats, settings: Settings) -> Floats:
    if not settings.sharpening:
        return image
    radius = settings.sharpening_radius
    sharp: Floats = image + settings.sharpening * (image - gaussian_filter(image, (radius, radius, 0)))
    return sharp


def _jpeg(image: Image.Image, quality: int, chroma_halved: bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=2 if chroma_halved else 0)
    return buffer.getvalue()
