"""What the service answers about itself: its models, their promotion, its health, refusals. See `models`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelList:
    """The models that the service holds, the active one first."""

    object: str
    data: list[Model]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the false-accept rate `far` that it keeps to, and what stands behind it.

    tar: the share of the genuine pairs that it accepts. false_accepts: how many of the impostor pairs it accepts.
    held_out_far, held_out_tar: the same rates where each person is judged by a threshold made without them.
    """

    far: float
    threshold: float
    tar: float
    false_accepts: int
    held_out_far: float
    held_out_tar: float


@dataclass(frozen=True)
class Calibration:
    """Thresholds and probabilities of a space's similarities, from the gallery's own labelled ears.

    calibrated_on: in words. centred: of vectors less the gallery's mean. subjects: people with pairs; ears: that were
    compared; without_subject, without_side: that could not be. probability = 1 / (1 + exp(-(slope * similarity +
    intercept))). sequence: the gallery's change number when it was made.
    """

    space_id: str
    created: str
    sequence: int
    calibrated_on: str
    centred: bool
    subjects: int
    ears: int
    without_subject: int
    without_side: int
    genuine_pairs: int
    impostor_pairs: int
    slope: float
    intercept: float
    points: list[OperatingPoint]


@dataclass(frozen=True)
class CalibrationList:
    """The calibrations of the live spaces, the active space's first."""

    calibrations: list[Calibration]


@dataclass(frozen=True)
class Model:
    """A loaded bundle: OpenAI's fields, its identity, how it runs, its parity and training figures.

    aliases: names that select it in /v1/embeddings. version: its number in the Open Inference Protocol. runtime: what
    computes; fallback_reasons: why a faster one, or the requested_runtime, does not. calibration, calibrated_on: the
    bundle's, and which pictures it was made on; gallery_calibration: the gallery's own, by which /v1/verify decides.
    ear_likeness_from: "landmarks" or "reconstruction", see `models.Quality`. index, recall: how the gallery keeps its
    vectors, and the share of the truly nearest that searches find.
    """

    id: str
    object: str
    created: int
    owned_by: str
    state: str
    aliases: list[str]
    version: str
    space_id: str
    bundle_id: str
    runtime: str
    requested_runtime: str
    fallback_reasons: list[str]
    precision: str
    ear_likeness_from: str
    preset: str
    latent_dim: int
    parity: dict[str, Any]
    training: dict[str, Any]
    eigenears: dict[str, Any] | None
    calibration: dict[str, Any] | None
    calibrated_on: str | None
    gallery_calibration: Calibration | None
    engine_build: dict[str, Any] | None
    gallery_items: int | None
    index: dict[str, Any] | None
    recall: dict[str, Any] | None


@dataclass(frozen=True)
class Promotion:
    """A promotion: from which model to which, how far, and what was measured. Folders are on the service's machine.

    state: embedding, ready, active, rolled back, retired, cancelled or failed. total, done: ears to embed anew.
    """

    id: str
    state: str
    bundle: str
    bundle_id: str
    space_id: str
    from_bundle: str
    from_bundle_id: str
    from_space_id: str
    created: str
    updated: str
    total: int
    done: int
    eta_s: float | None
    failed_items: list[str]
    report: dict[str, Any] | None
    objections: list[str]
    error: str | None


@dataclass(frozen=True)
class PromotionList:
    """All promotions, the oldest first."""

    promotions: list[Promotion]


@dataclass(frozen=True)
class Liveness:
    """The process answers."""

    status: str


@dataclass(frozen=True)
class Readiness:
    """status: ready or not ready; checks: by part, `ok` or what is wrong with it."""

    status: str
    checks: dict[str, str]


@dataclass(frozen=True)
class Problem:
    """Why a request was refused. type: a family, as OpenAI's clients know it; param: what in the request is wrong."""

    message: str
    type: str
    param: str | None
    code: str
    request_id: str


@dataclass(frozen=True)
class ErrorAnswer:
    """The body of every refusal under /v1."""

    error: Problem
