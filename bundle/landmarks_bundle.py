"""The landmark graph of a bundle: opened where there is one, and proven on golden ears before it is used.

Golden pictures are the shipped golden crops, letterboxed; the bundle holds only what torch said of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleError, GoldenMismatch
from bundle.golden import golden_crops
from bundle.landmarks import INPUT, OUTPUTS, THRESHOLD, EarFinder, letterbox
from bundle.manifest import Manifest
from bundle.model import check_contract, choose_variant
from bundle.runtimes import open_session
from bundle.session import AUTO, Session

GOLDEN_EARS = "golden_ears.npz"
GOLDEN_COUNT = 2
PLACE_PX = 2.0
"""Largest error of a box edge or landmark of a golden ear, pixels of the letterbox."""
CHANCE = 0.03
"""Largest error of a golden ear's score."""


def open_finder(
    folder: str | Path, manifest: Manifest, runtime: str = AUTO, threads: int = 0, slots: int = 1
) -> EarFinder | None:
    """The bundle's detector, having found its golden ears; None where the bundle has none.

    Raises RuntimeUnavailable, ContractError or GoldenMismatch.
    """
    folder = Path(folder)
    if not any(variant.graph == "landmarks" for variant in manifest.variants):
        return None
    variant = choose_variant(manifest, "landmarks", runtime)
    session = open_session(folder / variant.file, runtime, threads, variant.precision, slots=slots)
    try:
        check_contract(session.signature(), manifest.tensors["landmarks"], variant.file)
        check_golden_ears(session, folder)
    except BundleError:
        session.close()
        raise
    described: Mapping[str, Any] = manifest.training.get("detector", {})
    return EarFinder(session, described.get("landmarks", ()), float(described.get("threshold", THRESHOLD)))


def golden_pictures() -> NDArray[np.uint8]:
    """(2, 640, 640, 3) uint8 RGB."""
    return np.stack([letterbox(crop).picture for crop in golden_crops()[:GOLDEN_COUNT]])


def write_golden_ears(folder: str | Path, find: Callable[[NDArray[np.uint8]], Mapping[str, NDArray[Any]]]) -> Path:
    """Write `golden_ears.npz`. find: letterboxes -> the graph's outputs by name, as torch computes them."""
    outputs = find(golden_pictures())
    path = Path(folder) / GOLDEN_EARS
    arrays: dict[str, Any] = {name: np.asarray(outputs[name]) for name in OUTPUTS}
    np.savez_compressed(path, **arrays)
    return path


def check_golden_ears(session: Session, folder: str | Path) -> tuple[float, float]:
    """Largest errors of the golden ears' places (px) and scores. Raises GoldenMismatch."""
    path = Path(folder) / GOLDEN_EARS
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            golden = {name: archive[name] for name in OUTPUTS}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise GoldenMismatch(f"{path} cannot be read: {error}") from error
    runs = [session.run({INPUT: one[None]}) for one in golden_pictures()]  # one by one: memory that is taken stays
    computed = {name: np.concatenate([each[name] for each in runs]) for name in OUTPUTS}
    rows, best, mine = np.arange(GOLDEN_COUNT), golden["scores"].argmax(1), computed["scores"].argmax(1)
    place = max(
        float(np.abs(golden[name][rows, best] - computed[name][rows, mine]).max()) for name in ("boxes", "points")
    )
    chance = float(np.abs(golden["scores"][rows, best] - computed["scores"][rows, mine]).max())
    if not (place <= PLACE_PX and chance <= CHANCE):  # a NaN fails too
        raise GoldenMismatch(
            f"{session.runtime} does not find the ears of {GOLDEN_EARS}: places are off by {place:.3g} px (limit "
            f"{PLACE_PX:g}), scores by {chance:.3g} (limit {CHANCE:g}); try another --runtime, or export it again"
        )
    return place, chance
