"""What is compared on photographs: the bundle's embedding and mu, and HOG and LBP on the same ears, boxed and aligned.

Aligned: a similarity transform (Umeyama 1991) takes the landmarks that the bundle's detector finds to the mean
landmarks of the demo ears. Knows no figures.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.real_ears_photos import Photo
from bundle.decoding import ImageLimits
from bundle.image import Picture, frame, mirror, read
from bundle.landmarks import EarFinder, FoundEar, letterbox
from bundle.model import EarModel, Encoding
from serve.inference.detection import LEAST_LIKENESS

ROOT = Path(__file__).resolve().parents[1]
CROP_PX = 128
TINY_ALLOWED = ImageLimits(min_side_px=1)
"""EarVN1.0 holds pictures of 14 px, which the service refuses."""
BATCH = 16
LBP_POINTS, LBP_RADIUS, LBP_CELL_PX = 8, 1, 16


@dataclass(frozen=True)
class Ears:
    """N ears in left orientation, framed by the box and aligned by the landmarks: (N, 128, 128, 3) uint8 each."""

    boxed: Picture
    aligned: Picture
    detected: NDArray[np.bool_]
    """(N,): the detector found the ear; where not, the whole picture stands in for both."""

    def mirrored(self) -> Ears:
        """The same ears in the other orientation."""
        return replace(self, boxed=self.boxed[:, :, ::-1], aligned=self.aligned[:, :, ::-1])


def see(photos: Sequence[Photo], model: EarModel, finder: EarFinder) -> Ears:
    """Frame every photo.

    A whole picture is framed by the most certain ear's box and mirrored where that is a right ear. Where the ear is the
    whole picture (`Photo.whole` false) its side is unknown, and the picture is taken as it is.
    """
    rows = [_see(photo, model, finder) for photo in photos]
    boxed, aligned, detected = zip(*rows, strict=True)
    return Ears(np.stack(boxed), np.stack(aligned), np.array(detected))


def detect(picture: Picture, model: EarModel, finder: EarFinder) -> list[FoundEar]:
    """The ears that `detect=true` finds in an upright photo: what the detector and the encoder take for one."""
    (ears,) = finder.find([letterbox(picture)])
    expected = model.manifest.ear_spread
    if not ears or expected is None:
        return ears
    crops = [frame(picture, ear.box, model.manifest.framing) for ear in ears]
    turned = [mirror(crop) if ear.side == "right" else crop for ear, crop in zip(ears, crops, strict=True)]
    spreads = model.encode(np.stack(turned)).spread
    assert spreads is not None, "a manifest with ear_spread belongs to an encoder with the output spread"
    return [ear for ear, spread in zip(ears, spreads, strict=True) if expected.likeness(spread) >= LEAST_LIKENESS]


def _see(photo: Photo, model: EarModel, finder: EarFinder) -> tuple[Picture, Picture, bool]:
    picture = read(photo.path, TINY_ALLOWED)
    framing = model.manifest.framing
    # A tight crop shows one ear: the detector is asked for its landmarks only.
    ears = detect(picture, model, finder) if photo.whole else finder.find([letterbox(picture)])[0]
    if not ears:
        whole = frame(picture, None, framing)
        return whole, whole, False
    boxed = frame(picture, ears[0].box if photo.whole else None, framing)
    aligned = align(picture, ears[0], mean_landmarks())
    turned = photo.whole and ears[0].side == "right"
    return (mirror(boxed), aligned, True) if turned else (boxed, aligned, True)


def align(picture: Picture, ear: FoundEar, target: NDArray[np.float32]) -> Picture:
    """(128, 128, 3) uint8: the ear turned, scaled and moved so that its landmarks come nearest to `target` (17, 2) px.

    A right ear is mirrored on the way.
    """
    from skimage.transform import SimilarityTransform, warp

    landmarks = ear.landmarks.astype(np.float64)
    if ear.side == "right":
        picture = picture[:, ::-1]
        landmarks = landmarks * [-1, 1] + [picture.shape[1] - 1, 0]
    transform = SimilarityTransform.from_estimate(target.astype(np.float64), landmarks)
    pixels = warp(picture, transform, output_shape=(CROP_PX, CROP_PX), order=1, mode="edge", preserve_range=True)
    return np.asarray(pixels.round(), np.uint8)


def mean_landmarks() -> NDArray[np.float32]:
    """(17, 2) float32: the demo training ears' mean landmarks in left orientation, in pixels of a framed crop."""
    places = []
    for row in _rows(ROOT / "demo" / "ears" / "metadata.csv"):
        names = [name[:-2] for name in row if name.endswith("_x")]
        points = np.array([[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in names])
        x1, y1, x2, y2 = (float(row[edge]) for edge in ("x1", "y1", "x2", "y2"))
        side = max(x2 - x1, y2 - y1) * 1.2
        unit = (points - [(x1 + x2) / 2, (y1 + y2) / 2]) / side
        places.append(unit * ([-1, 1] if row["side"] == "right" else [1, 1]) + 0.5)
    return np.asarray(np.mean(places, 0) * CROP_PX, np.float32)


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with open(table, newline="", encoding="utf-8") as file:
        yield from (row for row in csv.DictReader(file) if row["split"] == "train")


def embed(ears: Ears, model: EarModel) -> Encoding:
    """The encoder's outputs of N boxed ears."""
    parts = [model.encode(ears.boxed[start : start + BATCH]) for start in range(0, len(ears.boxed), BATCH)]
    spreads = [part.spread for part in parts if part.spread is not None]
    embedding, mu, logvar = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("embedding", "mu", "logvar")
    )
    return Encoding(embedding, mu, logvar, np.concatenate(spreads) if spreads else None)


def features(ears: Ears, model: EarModel) -> dict[str, NDArray[np.float32]]:
    """(N, D) float32 by name."""
    from training.evaluation.baselines import hog

    encoded = embed(ears, model)
    return {
        "embedding": encoded.embedding,
        "cosine of mu": encoded.mu,
        "HOG, box": hog(ears.boxed),
        "HOG, aligned": hog(ears.aligned),
        "LBP, box": lbp(ears.boxed),
        "LBP, aligned": lbp(ears.aligned),
    }


def lbp(crops: Picture) -> NDArray[np.float32]:
    """Uniform local binary patterns (Ojala, Pietikainen & Maenpaa 2002): (N, 640) roots of cell histograms."""
    from skimage.color import rgb2gray
    from skimage.feature import local_binary_pattern

    vectors = []
    for crop in crops:
        grey = (rgb2gray(crop) * 255).astype(np.uint8)
        codes = local_binary_pattern(grey, LBP_POINTS, LBP_RADIUS, "uniform").astype(int)
        cells = codes.reshape(CROP_PX // LBP_CELL_PX, LBP_CELL_PX, -1, LBP_CELL_PX).swapaxes(1, 2)
        counts = [np.bincount(cell.ravel(), minlength=LBP_POINTS + 2) for cell in cells.reshape(-1, LBP_CELL_PX**2)]
        vectors.append(np.sqrt(np.concatenate(counts) / LBP_CELL_PX**2))
    return np.asarray(vectors, np.float32)
