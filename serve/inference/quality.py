"""How usable a picture is: sharpness, how well the model can redraw it, and whether it looks like an ear to the model.

Measured on the framed crop, and judged against the bundle's golden crops, which are ears.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.golden import GOLDEN_NAME
from bundle.image import Picture
from client.models import Quality

SHARP_ENOUGH = 0.25
"""Sharpness below this share of the golden crops' median is called blurred."""


@dataclass(frozen=True)
class Reference:
    """What golden crops give: median sharpness, and mean and spread of their reconstruction error."""

    sharpness: float
    error_db: float
    spread_db: float


def load_reference(folder: Path) -> Reference:
    """The reference of a bundle folder, from its golden crops and what the trained model made of them."""
    with np.load(folder / GOLDEN_NAME, allow_pickle=False) as archive:
        return reference_of(archive["crops"], archive["image"])


def reference_of(crops: Picture, decoded: Picture) -> Reference:
    """References from golden crops and their reconstructions, (N, S, S, 3) uint8 each."""
    errors = np.array([redrawing_db(crop, again) for crop, again in zip(crops, decoded, strict=True)])
    return Reference(
        sharpness=float(np.median([sharpness(crop) for crop in crops])),
        error_db=float(errors.mean()),
        spread_db=float(max(errors.std(), 1.0)),
    )


def assess(crop: Picture, decoded: Picture, reference: Reference, likeness: float | None = None) -> Quality:
    """crop, decoded: (S, S, 3) uint8, the same way round. likeness: by the certainty of the ear's landmarks, if known.

    Without it the likeness is that of the redrawing, which a plain gradient has too: the answer says which one it is.
    """
    from measure.picture import psnr, ssim  # scipy takes long to import, and few requests ask for this

    sharp = sharpness(crop)
    return Quality(
        psnr_db=float(psnr(crop, decoded)),
        ssim=float(ssim(crop, decoded)),
        sharpness=sharp,
        ear_likeness=ear_likeness(crop, decoded, reference) if likeness is None else likeness,
        ear_likeness_from="reconstruction" if likeness is None else "landmarks",
        blurred=sharp < SHARP_ENOUGH * reference.sharpness,
    )


def ear_likeness(crop: Picture, decoded: Picture, reference: Reference) -> float:
    """A model of ears redraws ears better than anything else: a logistic of the redrawing against the golden crops'."""
    below = (reference.error_db - redrawing_db(crop, decoded)) / reference.spread_db
    return float(1.0 / (1.0 + np.exp(np.clip(below - 3.0, -50.0, 50.0))))


def redrawing_db(crop: Picture, decoded: Picture) -> float:
    """Signal to error, dB: the crop's own variance over the squared error, so that flat pictures gain nothing."""
    signal, again = crop.astype(np.float32), decoded.astype(np.float32)
    variance = float(np.square(signal - signal.mean(axis=(0, 1))).mean())
    error = float(np.square(signal - again).mean())
    return 10.0 * float(np.log10((variance + 1.0) / (error + 1.0)))


def sharpness(crop: Picture) -> float:
    """Variance of the 4-neighbour Laplacian of the luminance (Pech-Pacheco et al. 2000), in squared grey levels."""
    grey: NDArray[np.float32] = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.var(around - 4.0 * grey[1:-1, 1:-1]))
