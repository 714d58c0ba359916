"""How well a detector finds ears and their landmarks: on framed ears, on whole heads, and on pictures without ears.

Works through `Finder`, so torch and an exported graph are judged by one code. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.landmarks import OUTPUTS, FoundEar, Letterboxed, ears_of, letterbox
from common.records.record import EarRecord
from measure.boxes import COCO_OVERLAPS, average_precision, best_threshold, iou, precision_curve
from measure.landmarks import box_diagonal, ced, ced_area, failure_rate, landmark_size, normalised_error
from training.detector.detector import EarDetector
from training.detector.sources import free_picture, read

Array = NDArray[np.float64]
LEAST_SCORE = 0.02
"""Least score that evaluation keeps: average precision wants the uncertain ones too."""
FOUND_OVERLAP = 0.5
CED_AT = np.linspace(0, 0.15, 61)
SIZES_PX = {"under 48 px": (0.0, 48.0), "48 to 96 px": (48.0, 96.0), "over 96 px": (96.0, np.inf)}
"""Ear heights in the letterbox that figures are given for."""


class Finder(Protocol):
    """What finds ears: `bundle.landmarks.EarFinder`, or `TorchFinder`."""

    def find(self, squares: Sequence[Letterboxed], threshold: float | None = None) -> list[list[FoundEar]]: ...


class TorchFinder:
    """An `EarDetector` behind pictures."""

    def __init__(self, detector: EarDetector) -> None:
        self._detector = detector.eval()

    @torch.inference_mode()
    def find(self, squares: Sequence[Letterboxed], threshold: float | None = None) -> list[list[FoundEar]]:
        """As `bundle.landmarks.EarFinder.find`."""
        device = next(self._detector.parameters()).device
        pictures = torch.from_numpy(np.stack([square.picture for square in squares])).to(device)
        outputs = {name: value.cpu().numpy() for name, value in zip(OUTPUTS, self._detector(pictures), strict=True)}
        least = LEAST_SCORE if threshold is None else threshold
        return [ears_of({name: outputs[name][row] for name in OUTPUTS}, square, least)
                for row, square in enumerate(squares)]  # fmt: skip


class PhotoResult(NamedTuple):
    """One photo: what is in it and what was found."""

    box: Array | None
    """(4,), or None in a picture without ears."""
    found: list[FoundEar]
    height_px: float
    """Of the ear in the letterbox."""
    landmarks: Array
    counts: NDArray[np.bool_]
    side: str | None


@dataclass(frozen=True)
class Figures:
    """Figures of a set of pictures. Errors of an ear count as infinite where it was not found."""

    pictures: int
    ears: int
    found: float
    """Share of the ears whose best box overlaps by 0.5 at the operating threshold."""
    mean_iou: float
    """Of the best box with the truth; 0 where nothing was found."""
    ap_50: float
    ap_75: float
    map: float
    """Mean over overlaps 0.5 to 0.95 (COCO)."""
    false_alarms: float
    """Share of ear-free pictures with an ear above the threshold; NaN without any."""
    nme_box: float
    """Mean over found ears, by the diagonal of the true box."""
    nme_box_median: float
    """Over all ears, missed ones included."""
    nme_size: float
    """Mean over found ears, by the largest distance between two true landmarks."""
    failures: float
    """Share of all ears with an error above 0.10 of the diagonal, or not found."""
    ced_area: float
    """Area under the CED up to 0.10, 1 is perfect."""
    side_accuracy: float
    """Of found ears of known side."""
    visibility_accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON: NaN and infinity become None."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def detect_all(finder: Finder, records: Iterable[EarRecord], batch: int = 4) -> list[PhotoResult]:
    """Letterbox and find, every photo of `records`."""
    photos: list[PhotoResult] = []
    waiting: list[tuple[EarRecord, Letterboxed]] = []
    records = list(records)
    for number, record in enumerate(records):
        waiting.append((record, letterbox(read(record)[0])))
        if len(waiting) == batch or number + 1 == len(records):
            found = finder.find([square for _, square in waiting], LEAST_SCORE)
            photos += [
                _photo_result(record, square, ears) for (record, square), ears in zip(waiting, found, strict=True)
            ]
            waiting = []
    return photos


def detect_free(finder: Finder, records: Iterable[EarRecord], seed: int = 0, batch: int = 4) -> list[PhotoResult]:
    """Parts of photos without their ears."""
    pictures = [free_picture(record, np.random.default_rng([seed, n])) for n, record in enumerate(records)]
    squares = [letterbox(picture) for picture in pictures if picture is not None]
    found = [ears for start in range(0, len(squares), batch)
             for ears in finder.find(squares[start : start + batch], LEAST_SCORE)]  # fmt: skip
    return [PhotoResult(None, ears, 0.0, np.zeros((0, 2)), np.zeros(0, bool), None) for ears in found]


def _photo_result(record: EarRecord, square: Letterboxed, found: list[FoundEar]) -> PhotoResult:
    assert record.box is not None
    box = np.array(record.box, float)
    landmarks = np.zeros((0, 2)) if record.landmarks is None else record.landmarks.astype(float)
    return PhotoResult(
        box, found, float(box[3] - box[1]) * square.scale, landmarks, np.isfinite(landmarks).all(1), record.side
    )


def operating_threshold(photos: Sequence[PhotoResult]) -> float:
    """The score that balances precision and recall best over these photos."""
    return best_threshold(precision_curve(*_columns(photos), FOUND_OVERLAP))


def figures(
    photos: Sequence[PhotoResult], threshold: float, visible: Sequence[NDArray[np.bool_] | None] = ()
) -> Figures:
    """Everything there is to say of these photos at an operating threshold."""
    columns = _columns(photos)
    aps = [average_precision(precision_curve(*columns, overlap)) for overlap in COCO_OVERLAPS]
    ears = [photo for photo in photos if photo.box is not None]
    free = [photo for photo in photos if photo.box is None]
    best = [_best(photo, threshold) for photo in ears]
    overlaps = np.array([_overlap(photo, ear) for photo, ear in zip(ears, best, strict=True)])
    hit = overlaps >= FOUND_OVERLAP
    by_box, by_size = errors(ears, best, hit)
    sides = [
        (photo.side, ear.side) for photo, ear, ok in zip(ears, best, hit, strict=True) if ok and ear and photo.side
    ]
    alarms = [any(ear.score >= threshold for ear in photo.found) for photo in free]
    known = ~np.isnan(by_box)
    return Figures(
        pictures=len(photos), ears=len(ears), found=_mean(hit), mean_iou=_mean(overlaps),
        ap_50=aps[0], ap_75=aps[COCO_OVERLAPS.index(0.75)], map=float(np.mean(aps)), false_alarms=_mean(alarms),
        nme_box=_mean(by_box[np.isfinite(by_box)]),
        nme_box_median=float(np.median(by_box[known])) if known.any() else np.nan,
        nme_size=_mean(by_size[np.isfinite(by_size)]),
        failures=failure_rate(by_box[known]) if known.any() else np.nan,
        ced_area=ced_area(by_box[known]) if known.any() else np.nan,
        side_accuracy=_mean([predicted == true for true, predicted in sides]),
        visibility_accuracy=_visibility(ears, best, hit, visible),
    )  # fmt: skip


def errors(ears: Sequence[PhotoResult], best: Sequence[FoundEar | None], hit: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Normalised mean errors by box diagonal and by landmark size, (N,) each; inf: not found, NaN: no landmarks."""
    by_box, by_size = np.full(len(ears), np.nan), np.full(len(ears), np.nan)
    for number, (photo, ear) in enumerate(zip(ears, best, strict=True)):
        if not photo.counts.any():
            continue
        by_box[number] = by_size[number] = np.inf
        if hit[number] and ear is not None and photo.box is not None:
            points, truth, counts = ear.landmarks[None].astype(float), photo.landmarks[None], photo.counts[None]
            by_box[number] = normalised_error(points, truth, box_diagonal(photo.box[None]), counts)[0]
            by_size[number] = normalised_error(points, truth, landmark_size(np.nan_to_num(truth), counts), counts)[0]
    return by_box, by_size


def ced_curve(photos: Sequence[PhotoResult], threshold: float) -> Array:
    """The cumulative error distribution at `CED_AT`, by box diagonal."""
    ears = [photo for photo in photos if photo.box is not None]
    best = [_best(photo, threshold) for photo in ears]
    hit = np.array([_overlap(photo, ear) >= FOUND_OVERLAP for photo, ear in zip(ears, best, strict=True)])
    by_box, _ = errors(ears, best, hit)
    return ced(by_box[~np.isnan(by_box)], CED_AT)


def by_size(photos: Sequence[PhotoResult], threshold: float) -> dict[str, Figures]:
    """Figures by the ear's height in the letterbox."""
    groups = {
        name: [photo for photo in photos if photo.box is not None and low <= photo.height_px < high]
        for name, (low, high) in SIZES_PX.items()
    }
    return {name: figures(group, threshold) for name, group in groups.items() if group}


def _columns(photos: Sequence[PhotoResult]) -> tuple[list[Array], list[Array], list[Array]]:
    found = [np.array([ear.box for ear in photo.found], float).reshape(-1, 4) for photo in photos]
    scores = [np.array([ear.score for ear in photo.found], float) for photo in photos]
    return found, scores, [np.zeros((0, 4)) if photo.box is None else photo.box[None] for photo in photos]


def _best(photo: PhotoResult, threshold: float) -> FoundEar | None:
    return photo.found[0] if photo.found and photo.found[0].score >= threshold else None


def _overlap(photo: PhotoResult, ear: FoundEar | None) -> float:
    if ear is None or photo.box is None:
        return 0.0
    return float(iou(np.array([ear.box], float), photo.box[None])[0, 0])


def _visibility(
    ears: Sequence[PhotoResult],
    best: Sequence[FoundEar | None],
    hit: NDArray[np.bool_],
    visible: Sequence[NDArray[np.bool_] | None],
) -> float:
    right: list[float] = []
    for ear, ok, truth, photo in zip(best, hit, visible, ears, strict=False):
        if ok and ear is not None and truth is not None:
            right += ((ear.visibility > 0.5) == truth)[photo.counts].tolist()
    return _mean(right)


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
