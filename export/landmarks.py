"""Detector checkpoint -> `landmarks.onnx` in a bundle: exported, compared with torch, named in the manifest.

The bundle's encoder and decoder stay what they are, and so does its `space_id`; its `bundle_id` is a new one. The
folder is replaced as a whole or not at all.
"""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle.landmarks import INPUT, LETTERBOX_PX, OUTPUTS, THRESHOLD, letterbox
from bundle.landmarks_bundle import write_golden_ears
from bundle.manifest import FileEntry, GraphContract, Manifest, Variant, read_manifest, verify_files, write_manifest
from bundle.manifest import Tensor as Edge
from bundle.runtimes import open_session
from export.errors import NoCrops
from export.folder import move_into_place, staging
from export.graph.fp16 import store_half
from export.graph.onnx_export import GraphSpec, export_onnx
from export.graph.rewrite import fold_batch_norms
from export.graph.sam import SamGraph
from export.model_card import write_papers
from export.parity.judge import ParityError
from export.parity.landmarks_judge import EarParity, judge_ears
from export.parity.reference import run_session, run_torch
from export.parity.variants import RUNTIME
from training.detector.checkpoint import DetectorCheckpoint, read_detector
from training.detector.detector import EarDetector
from training.detector.features import resize, resized
from training.detector.sources import load_sources, read
from training.errors import TrainingError

FILE = "landmarks.onnx"
OPSET = 18
logger = logging.getLogger(__name__)


class LandmarkGraph(nn.Module):
    """Letterboxed photos -> candidate ears, with SAM's forward rewritten for graphs at both of its sizes.

    Args:
        detector: the networks; a copy is taken.
    """

    def __init__(self, detector: EarDetector) -> None:
        super().__init__()
        self.coarse_px = detector.config.coarse_px
        self.sam = SamGraph(resized(detector.sam, self.coarse_px), self.coarse_px)
        self.detector = copy.deepcopy(detector).eval().requires_grad_(False)
        self.detector.sam = SamGraph(self.detector.sam, detector.config.model.image_size_px)  # type: ignore[assignment]
        fold_batch_norms(self.detector.blocks)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Find ears.

        Args:
            image: (B, 640, 640, 3) uint8, RGB, letterboxed.

        Returns:
            boxes (B, N, 4), scores (B, N), points (B, N, K, 2), visibilities (B, N, K), sides (B, N): float32, places
            in pixels of the letterbox, sides the probability of a right ear.
        """
        images = image.float().permute(0, 3, 1, 2) / 127.5 - 1.0
        coarse = self.detector.first(self.sam(resize(images, self.coarse_px)))
        return tuple(self.detector.settle(images, coarse))


def add_landmarks(
    checkpoint: Path,
    bundle: Path,
    data: Sequence[Path],
    photos: int = 16,
    threshold: float | None = None,
    half_weights: bool = False,
) -> Manifest:
    """Add a detector to a bundle, or replace the one it has.

    Args:
        checkpoint: `detector.ckpt`.
        bundle: folder of a whole bundle.
        data: data sets whose validation photos are compared on.
        photos: how many of them.
        threshold: least score of an ear that the service reports; None: what `detector evaluate` found best.
        half_weights: keep the graph's weights as float16 on disk; the arithmetic stays float32.

    Raises:
        ParityError: the exported graph does not agree with torch; the bundle stays as it was.
        NoCrops: `data` cannot be used.
        BundleError: `bundle` is not whole.
    """
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest)
    saved, detector = read_detector(checkpoint), EarDetector.load_from_checkpoint(checkpoint)
    squares = _photos(data, photos, detector.config.num_landmarks)
    with staging(bundle) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
        logger.info("%s: exporting, opset %d", FILE, OPSET)
        export_onnx(LandmarkGraph(detector), _spec(), folder / FILE)
        if half_weights:
            store_half(folder / FILE)
        logger.info("%s: comparing on %d photos", FILE, len(squares))
        parity = _judge(folder / FILE, detector, squares)
        if parity.refusals:
            raise ParityError(
                f"{FILE} does not agree with torch, the bundle stays as it was: {'; '.join(parity.refusals)}"
            )
        golden = write_golden_ears(folder, lambda pictures: run_torch(detector, pictures, OUTPUTS, 1))
        manifest = _with_graph(manifest, folder, golden.name, detector, saved, parity, threshold)
        manifest = write_manifest(folder, write_papers(folder, manifest))
        move_into_place(folder, bundle, True)
    logger.info("%s: bundle %s, space %s as before", bundle, manifest.bundle_id, manifest.space_id)
    return manifest


def _spec() -> GraphSpec:
    return GraphSpec("landmarks", INPUT, (LETTERBOX_PX, LETTERBOX_PX, 3), torch.uint8, OUTPUTS, OPSET)


def _photos(data: Sequence[Path], count: int, landmarks: int) -> NDArray[np.uint8]:
    """(N, 640, 640, 3) letterboxed validation photos, from all over the data sets."""
    try:
        records = load_sources(data, landmarks).val
    except TrainingError as error:
        raise NoCrops(f"--data: {error}") from None
    rows = np.linspace(0, len(records) - 1, min(count, len(records))).astype(int)
    return np.stack([letterbox(read(records[row])[0]).picture for row in rows])


def _judge(path: Path, detector: EarDetector, squares: NDArray[np.uint8]) -> EarParity:
    expected = run_torch(detector, squares, OUTPUTS, 2)
    session = open_session(path, RUNTIME)
    try:
        outputs = {f"batch {batch}": run_session(session, INPUT, squares, batch) for batch in (1, 3)}
    finally:
        session.close()
    return judge_ears(expected, outputs)


def contract(detector: EarDetector) -> GraphContract:
    """The tensors at the graph's edges."""
    ears, points = detector.config.max_ears, detector.config.num_landmarks
    shapes: dict[str, list[int | str]] = {
        "boxes": ["batch", ears, 4],
        "scores": ["batch", ears],
        "points": ["batch", ears, points, 2],
        "visibilities": ["batch", ears, points],
        "sides": ["batch", ears],
    }
    return GraphContract(
        inputs=[Edge(name=INPUT, dtype="uint8", shape=["batch", LETTERBOX_PX, LETTERBOX_PX, 3])],
        outputs=[Edge(name=name, dtype="float32", shape=shapes[name]) for name in OUTPUTS],
    )


def _with_graph(
    manifest: Manifest,
    folder: Path,
    golden: str,
    detector: EarDetector,
    saved: DetectorCheckpoint,
    parity: EarParity,
    threshold: float | None,
) -> Manifest:
    """The manifest with the graph in it; its identity is still the old one."""
    facts: dict[str, Any] = {
        "landmarks": list(saved.landmark_names),
        "threshold": saved.metrics.get("threshold", THRESHOLD) if threshold is None else threshold,
        "metrics": _finite(saved.metrics),
        "provenance": saved.provenance,
    }
    others = [variant for variant in manifest.variants if variant.graph != "landmarks"]
    variant = Variant(graph="landmarks", precision="fp32", file=FILE, parity=parity.to_dict())
    return manifest.model_copy(
        update={
            "tensors": {**manifest.tensors, "landmarks": contract(detector)},
            "files": {**manifest.files, **{name: FileEntry.of(folder / name) for name in (FILE, golden)}},
            "variants": [*others, variant],
            "training": {**manifest.training, "detector": facts},
        }
    )


def _finite(metrics: dict[str, Any]) -> dict[str, Any]:
    """Without what was not measured: JSON has no NaN, and a set without landmarks has no landmark error."""
    nested = {name: _finite(value) if isinstance(value, dict) else value for name, value in metrics.items()}
    return {name: value for name, value in nested.items() if isinstance(value, dict) or _measured(value)}


def _measured(value: Any) -> bool:
    return value is not None and bool(np.isfinite(value))
