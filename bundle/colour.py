"""Pixels of any colour profile -> sRGB, in which the model was trained. Phones tag their pictures Display P3.

Knows no files: a Pillow image and the ICC profile that came with it.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SAME = 2
"""Grey levels: a profile whose conversion changes no colour by more is sRGB under another name, and is left alone."""
MODES = {"RGB": 3, "L": 1, "CMYK": 4}
STEPS = 9


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image of mode RGB, L or CMYK as RGB. profile: its ICC profile; none, or one that is broken: taken as sRGB."""
    transform = _transform(profile, image.mode) if profile and image.mode in MODES else None
    if transform is not None:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None, "only a conversion in place returns nothing"
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The conversion to sRGB; None where there is nothing to convert, or the profile does not fit the mode."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        changed = ImageCms.applyTransform(_colours(mode), transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    assert changed is not None, "only a conversion in place returns nothing"
    plain = np.asarray(_colours(mode).convert("RGB"), np.int16)
    return transform if np.abs(np.asarray(changed, np.int16) - plain).max() > SAME else None


def _colours(mode: str) -> Image.Image:
    """An image with colours from all over the mode's cube."""
    levels = np.linspace(0, 255, STEPS).round().astype(np.uint8)
    bands = MODES[mode]
    grid = np.stack(np.meshgrid(*[levels] * bands), axis=-1).reshape(1, -1, bands)
    return Image.fromarray(grid[..., 0] if bands == 1 else grid, mode if bands == 4 else None)
