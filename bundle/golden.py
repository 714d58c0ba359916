"""The golden check: a few rendered crops with what torch gave for them, which a loaded model must reproduce.

The crops that ship with the project (`golden_crops.npz`) are 3-D renders under CC0 1.0, never a user's ears. Knows the
encoder and decoder contracts; nothing of how their sessions run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bundle.errors import GoldenMismatch
from bundle.image import Picture
from bundle.manifest import DEFAULT_GOLDEN, GoldenTolerance
from bundle.session import Session

GOLDEN_NAME = "golden.npz"
SHIPPED_CROPS = Path(__file__).with_name("golden_crops.npz")
OUTPUTS = ("embedding", "mu", "logvar", "image")
SPREAD = "spread"
"""The encoder's further output, where it has one."""
SPREAD_AGREES = 0.98
"""Least ratio of a spread and its golden one, the smaller over the larger."""


@dataclass(frozen=True)
class GoldenReport:
    """How near the sessions came, for the worst crop."""

    crops: int
    embedding_cosine: float
    mu_cosine: float
    mu_error: float
    """Largest Euclidean error of mu as a share of the median distance between two different crops."""
    psnr_db: float
    """Decoded pictures against torch's; inf where they are equal."""


def golden_crops() -> Picture:
    """(6, 128, 128, 3) uint8 RGB: the shipped crops, left-oriented."""
    with np.load(SHIPPED_CROPS, allow_pickle=False) as archive:
        return np.asarray(archive["crops"])


def write_golden(folder: str | Path, crops: Picture, outputs: Mapping[str, NDArray[Any]]) -> Path:
    """Write `golden.npz`. crops: (N, S, S, 3) uint8; outputs: embedding, mu, logvar (N, D) float32, image uint8.

    `spread` (N,) float32 is kept too where it is among them.
    """
    if missing := sorted(set(OUTPUTS) - set(outputs)):
        raise GoldenMismatch(f"golden outputs lack {missing}; needed are {', '.join(OUTPUTS)}")
    path = Path(folder) / GOLDEN_NAME
    arrays: dict[str, Any] = {"crops": crops} | {name: np.asarray(outputs[name]) for name in OUTPUTS}
    if SPREAD in outputs:
        arrays[SPREAD] = outputs[SPREAD]
    np.savez_compressed(path, **arrays)
    return path


def check(
    encoder: Session,
    decoder: Session,
    folder: str | Path,
    tolerances: Mapping[Any, GoldenTolerance] = DEFAULT_GOLDEN,
) -> GoldenReport:
    """Run the golden crops through both sessions and compare.

    Raises GoldenMismatch that names the figure, its limit and the runtime.
    """
    embedding_cosine, mu_cosine, mu_error = check_encoder(encoder, folder, tolerances)
    psnr_db = check_decoder(decoder, folder, tolerances)
    return GoldenReport(len(_read(folder)["crops"]), embedding_cosine, mu_cosine, mu_error, psnr_db)


def check_encoder(
    encoder: Session, folder: str | Path, tolerances: Mapping[Any, GoldenTolerance] = DEFAULT_GOLDEN
) -> tuple[float, float, float]:
    """embedding_cosine, mu_cosine and mu_error of the report. Raises GoldenMismatch."""
    golden = _read(folder)
    encoded = encoder.run({"image": golden["crops"]})
    least = _tolerance(encoder, tolerances).cosine_min
    cosines = [_worst_cosine(encoded[name], golden[name]) for name in ("embedding", "mu")]
    _judge(encoder, "embedding_cosine", cosines[0], least)
    _judge(encoder, "mu_cosine", cosines[1], least)
    if SPREAD in golden and SPREAD in encoded:
        pair = np.stack([golden[SPREAD], encoded[SPREAD]]).astype(np.float64)
        _judge(encoder, "spread_ratio", float((pair.min(0) / np.maximum(pair.max(0), 1e-12)).min()), SPREAD_AGREES)
    return cosines[0], cosines[1], _relative_error(encoded["mu"], golden["mu"])


def check_decoder(
    decoder: Session, folder: str | Path, tolerances: Mapping[Any, GoldenTolerance] = DEFAULT_GOLDEN
) -> float:
    """psnr_db of the report. The decoder is given torch's mu, so that its error is its own. Raises GoldenMismatch."""
    golden = _read(folder)
    psnr_db = _worst_psnr(decoder.run({"latent": golden["mu"]})["image"], golden["image"])
    _judge(decoder, "psnr_db", psnr_db, _tolerance(decoder, tolerances).psnr_min_db)
    return psnr_db


def _tolerance(session: Session, tolerances: Mapping[Any, GoldenTolerance]) -> GoldenTolerance:
    try:
        return tolerances[session.precision]
    except KeyError:
        have = ", ".join(sorted(tolerances))
        raise GoldenMismatch(f"the manifest has no golden tolerance for {session.precision}; it has: {have}") from None


def _judge(session: Session, figure: str, value: float, least: float) -> None:
    if not value >= least:  # a NaN fails too
        raise GoldenMismatch(
            f"{session.runtime} {session.precision} does not reproduce {GOLDEN_NAME}: {figure} is {value:.6g}, "
            f"at least {least:g} is needed; try another --runtime or --precision, or export the bundle again"
        )


def _read(folder: str | Path) -> dict[str, NDArray[Any]]:
    path = Path(folder) / GOLDEN_NAME
    try:
        # Opened here: numpy leaves its own file open when the archive is damaged.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            names = ("crops", *OUTPUTS, *((SPREAD,) if SPREAD in archive else ()))
            return {name: archive[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise GoldenMismatch(f"{path} cannot be read: {error}") from error


def _worst_cosine(outputs: NDArray[Any], golden: NDArray[Any]) -> float:
    a, b = outputs.astype(np.float64), golden.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(lengths, 1e-12)).min())


def _relative_error(outputs: NDArray[Any], golden: NDArray[Any]) -> float:
    truth = golden.astype(np.float64)
    first, second = np.triu_indices(len(truth), k=1)
    spread = float(np.median(np.linalg.norm(truth[first] - truth[second], axis=1)))
    return float(np.linalg.norm(outputs.astype(np.float64) - truth, axis=1).max()) / max(spread, 1e-12)


def _worst_psnr(outputs: NDArray[Any], golden: NDArray[Any]) -> float:
    error = np.square(outputs.astype(np.float64) - golden.astype(np.float64)).mean(axis=(1, 2, 3)).max()
    return float("inf") if error == 0 else float(10.0 * np.log10(255.0**2 / error))
