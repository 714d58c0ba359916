"""The parity judge: compares what a runtime gave with what torch gave for the same crops, and refuses past the limits.

Fails closed: a figure that cannot be computed, because an output has the wrong shape, is not finite or does not vary,
is a refusal. Runs nothing and knows no file (`export.parity.variants` does).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.golden import SPREAD
from export.errors import ExportError
from measure.errors import MeasureError
from measure.neighbours import cosine_report, median_distance, overlap_at_k
from measure.picture import psnr
from measure.protocol import evaluate
from measure.vectors import unit


@dataclass(frozen=True)
class ParityLimits:
    """Limits of one precision; a figure exactly at its limit passes."""

    cosine_min: float
    """Least cosine similarity, over all crops, of embedding and of mu with torch's."""
    relative_error_max: float
    """Largest error of embedding and of mu, as a share of the median distance between different pictures."""
    logvar_error_max: float
    """Largest absolute error of logvar, in natural-log units: 0.01 changes a standard deviation by 0.5 %."""
    spread_error_max: float
    """Largest error of spread, as a share of it (where the encoder has that output)."""
    neighbour_overlap_min: float
    """Mean share of the nearest pictures that stay the nearest."""
    rank1_change_max: float
    """Largest loss of rank-1 identification, absolute (where subjects are known)."""
    eer_change_max: float
    """Largest rise of the equal error rate, absolute (where subjects are known)."""
    psnr_min_db: float
    """Least PSNR of a decoded picture against torch's; 48 dB is an error of one grey level everywhere."""

    def to_dict(self) -> dict[str, float]:
        """As JSON in the manifest, beside the figures they judged."""
        return asdict(self)


LIMITS: dict[str, ParityLimits] = {
    "fp32": ParityLimits(0.99999, 0.01, 0.01, 0.005, 0.995, 0.002, 0.001, 55.0),
    "fp16": ParityLimits(0.9995, 0.01, 0.05, 0.01, 0.98, 0.005, 0.002, 45.0),
}

MIN_SPREAD = 1e-4
"""Least median distance between different pictures, as a share of the vectors' length: below it, a graph's output does
not vary and every comparison would pass."""

NEIGHBOURS = 10
"""Neighbours compared, where there are crops enough: never more than a third of the others."""


Outputs = Mapping[str, NDArray[Any]]

VECTORS = ("embedding", "mu")
OTHERS = ("logvar", SPREAD)
PSNR_OF_EQUALS_DB = 100.0  # JSON has no infinity


@dataclass(frozen=True)
class ParityRow:
    """One comparison: what was run, how it was run, and the figures. None: not measured for this graph."""

    graph: str
    """`encoder` or `decoder`."""
    precision: str
    runtime: str
    batch: int
    crops: int
    cosine_min: float | None = None
    cosine_p1: float | None = None
    cosine_mean: float | None = None
    """The worse of embedding and mu, as are the figures above and below."""
    relative_error: float | None = None
    logvar_error: float | None = None
    spread_error: float | None = None
    """Largest error of spread, as a share of it."""
    neighbour_overlap: float | None = None
    rank1_change: float | None = None
    """Rank-1 of the variant less torch's; negative: worse."""
    eer_change: float | None = None
    """Equal error rate of the variant less torch's; positive: worse."""
    psnr_min_db: float | None = None
    refusals: tuple[str, ...] = ()
    """Why the variant is refused, a sentence each."""

    @property
    def passed(self) -> bool:
        """Whether no limit was exceeded."""
        return not self.refusals

    def to_dict(self) -> dict[str, Any]:
        """As JSON in the manifest."""
        return {**asdict(self), "refusals": list(self.refusals), "passed": self.passed}


class ParityError(ExportError):
    """A variant that the bundle cannot do without was refused. `rows`: everything that was compared."""

    def __init__(self, message: str, rows: tuple[ParityRow, ...] = ()) -> None:
        super().__init__(message)
        self.rows = rows


def judge_encoder(
    row: ParityRow,
    reference: Outputs,
    outputs: Outputs,
    limits: ParityLimits,
    identities: Sequence[Hashable] | None = None,
) -> ParityRow:
    """Fill in `row` for an encoder.

    Args:
        row: what was run; its figures are still empty.
        reference: torch's `embedding`, `mu` and `logvar`, each (N, D), for N different crops; `spread` (N,) where the
            encoder gives it.
        outputs: the variant's, for the same crops in the same order.
        limits: how far it may stray.
        identities: who is on each crop, where known: adds the changes of rank-1 and EER.
    """
    broken = [
        text
        for name in (*VECTORS, *OTHERS)
        if name in reference or name != SPREAD
        for text in _unusable(name, reference, outputs)
    ]
    if not broken:
        broken = constant(reference, "in torch") + constant(outputs, "in the variant")
    if broken:
        return replace(row, refusals=tuple(broken))
    reports = [cosine_report(reference[name], outputs[name]) for name in VECTORS]
    row = replace(
        row,
        cosine_min=min(report.min for report in reports),
        cosine_p1=min(report.p1 for report in reports),
        cosine_mean=min(report.mean for report in reports),
        relative_error=max(relative_error(reference[name], outputs[name]) for name in VECTORS),
        logvar_error=float(np.abs(reference["logvar"] - outputs["logvar"]).max()),
        spread_error=float(np.abs(outputs[SPREAD] / reference[SPREAD] - 1).max()) if SPREAD in reference else None,
        neighbour_overlap=neighbour_overlap(reference["embedding"], outputs["embedding"]),
    )
    row = _identification(row, reference["embedding"], outputs["embedding"], identities)
    return replace(row, refusals=_past_limits(row, limits))


def judge_decoder(
    row: ParityRow, reference: NDArray[np.uint8], images: NDArray[Any], limits: ParityLimits
) -> ParityRow:
    """Fill in `row` for a decoder. reference, images: (N, S, S, 3) uint8, of the same N different latents."""
    if images.shape != reference.shape or images.dtype != reference.dtype:
        text = f"image is {images.shape} {images.dtype}; it must be {reference.shape} {reference.dtype}"
        return replace(row, refusals=(text,))
    for pictures, source in ((reference, "torch"), (images, row.runtime)):
        if len(pictures) > 1 and (pictures == pictures[:1]).all():
            return replace(
                row, refusals=(f"every latent decodes to the same picture in {source}: nothing is compared",)
            )
    worst = min(float(psnr(reference, images).min()), PSNR_OF_EQUALS_DB)
    row = replace(row, psnr_min_db=worst)
    return replace(row, refusals=_past_limits(row, limits))


def constant(outputs: Outputs, where: str) -> list[str]:
    """Sentences on vectors that do not vary: two constants agree perfectly and say nothing. Empty: they vary."""
    texts = []
    for name in VECTORS:
        values = outputs[name]
        if len(values) < 2:
            return ["one crop cannot show that the output varies: give at least 2 different ones"]
        length = float(np.linalg.norm(values, axis=1).mean())
        if not median_distance(values) > MIN_SPREAD * length:
            texts.append(f"{name} does not vary {where}: different crops get the same vector")
    return texts


def relative_error(reference: NDArray[Any], vectors: NDArray[Any]) -> float:
    """Largest distance of a row from where it should be, as a share of the median distance between different rows."""
    error = np.linalg.norm(vectors.astype(np.float64) - reference.astype(np.float64), axis=1).max()
    return float(error / median_distance(reference))


def neighbour_overlap(reference: NDArray[Any], vectors: NDArray[Any]) -> float | None:
    """Mean share of the nearest rows that stay the nearest; None with too few rows to tell."""
    nearest = min(NEIGHBOURS, (len(reference) - 1) // 3)
    return overlap_at_k(reference, vectors, nearest) if nearest >= 1 else None


def _unusable(name: str, reference: Outputs, outputs: Outputs) -> list[str]:
    if name not in outputs:
        return [f"there is no output {name!r}"]
    expected, values = reference[name], outputs[name]
    if values.shape != expected.shape or values.dtype != expected.dtype:
        return [f"{name} is {values.shape} {values.dtype}; it must be {expected.shape} {expected.dtype}"]
    bad = int((~np.isfinite(values).reshape(len(values), -1).all(axis=1)).sum())
    return [f"{name} is not finite for {bad} of {len(values)} crops"] if bad else []


def _identification(
    row: ParityRow, reference: NDArray[Any], vectors: NDArray[Any], identities: Sequence[Hashable] | None
) -> ParityRow:
    """Changes of rank-1 and EER; left out where identities are unknown or too few pictures of one are there."""
    if identities is None:
        return row
    try:
        before, after = evaluate(unit(reference), identities), evaluate(unit(vectors), identities)
    except MeasureError:
        return row
    return replace(row, rank1_change=after.rank1 - before.rank1, eer_change=after.eer - before.eer)


def _past_limits(row: ParityRow, limits: ParityLimits) -> tuple[str, ...]:
    """The sentences of what is past its limit; NaN counts as past."""
    least = (
        ("cosine", row.cosine_min, limits.cosine_min),
        ("neighbour overlap", row.neighbour_overlap, limits.neighbour_overlap_min),
        ("rank-1 change", row.rank1_change, -limits.rank1_change_max),
        ("PSNR (dB)", row.psnr_min_db, limits.psnr_min_db),
    )
    most = (
        ("error / distance between pictures", row.relative_error, limits.relative_error_max),
        ("logvar error", row.logvar_error, limits.logvar_error_max),
        ("spread error", row.spread_error, limits.spread_error_max),
        ("EER change", row.eer_change, limits.eer_change_max),
    )
    texts = [
        f"{name} {value:.6g} is below {limit:g}"
        for name, value, limit in least
        if value is not None and not value >= limit
    ]
    texts += [
        f"{name} {value:.6g} is above {limit:g}"
        for name, value, limit in most
        if value is not None and not value <= limit
    ]
    return tuple(texts)
