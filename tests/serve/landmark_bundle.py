"""Landmarks for the tiny bundle, made by hand: one ear in every photo, as certain as the photo is bright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from bundle.landmarks import LETTERBOX_PX, OUTPUTS
from bundle.landmarks_bundle import write_golden_ears
from bundle.manifest import FileEntry, Manifest, Variant, read_manifest, write_manifest
from bundle.runtimes import open_session
from tests.serve.tiny_bundle import contract, f32, i64, model

NAMES = ("top", "bottom")
PICTURE = ("uint8", ["batch", LETTERBOX_PX, LETTERBOX_PX, 3])
SHAPES = {"boxes": (2, 4), "scores": (2,), "points": (2, 2, 2), "visibilities": (2, 2), "sides": (2,)}
EDGES = {name: ("float32", ["batch", *SHAPES[name]]) for name in OUTPUTS}
BOX = (200.0, 120.0, 440.0, 520.0)


def add_landmarks_to(folder: Path, second: float = 0.1) -> Manifest:
    """Give the bundle in `folder` a landmark graph, and a new bundle_id.

    second: score of a left ear beside the first, as a share of the first one's.
    """
    onnx.save(landmark_graph(second), folder / "landmarks.onnx")
    session = open_session(folder / "landmarks.onnx", "onnxruntime-cpu", 1)
    golden = write_golden_ears(folder, lambda pictures: session.run({"image": pictures}))
    manifest = read_manifest(folder)
    files = {name: FileEntry.of(folder / name) for name in ("landmarks.onnx", golden.name)}
    variant = Variant(graph="landmarks", precision="fp32", file="landmarks.onnx")
    changed = {
        "files": {**manifest.files, **files},
        "variants": [*manifest.variants, variant],
        "tensors": {**manifest.tensors, "landmarks": contract("image", PICTURE, EDGES)},
        "training": {**manifest.training, "detector": {"landmarks": list(NAMES), "threshold": 0.3}},
    }
    return write_manifest(folder, manifest.model_copy(update=changed))


def landmark_graph(second):
    """Scores are the photo's brightness and a share of it; everything else is constant."""
    constants = {
        "axes": i64(1, 2, 3),
        "white": f32(255.0),
        "nothing": f32(0.0),
        "scores_shape": i64(-1, 1),
        "share": np.array([[1.0, second]], np.float32),
        "box": np.array([[BOX, (20, 200, 140, 400)]], np.float32),
        "point": np.array([[[[320, 130], [320, 500]], [[5, 5], [9, 9]]]], np.float32),
        "seen": np.array([[[0.9, 0.2], [0.5, 0.5]]], np.float32),
        "right": np.array([[0.8, 0.4]], np.float32),
        "as_box": i64(-1, 1, 1),
        "as_point": i64(-1, 1, 1, 1),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["bright"]),
        helper.make_node("Reshape", ["bright", "scores_shape"], ["column"]),
        helper.make_node("Mul", ["column", "share"], ["scores"]),
        helper.make_node("Mul", ["bright", "nothing"], ["zero"]),
        helper.make_node("Reshape", ["zero", "as_box"], ["zero_3d"]),
        helper.make_node("Reshape", ["zero", "as_point"], ["zero_4d"]),
        helper.make_node("Reshape", ["zero", "scores_shape"], ["zero_2d"]),
        helper.make_node("Add", ["zero_3d", "box"], ["boxes"]),
        helper.make_node("Add", ["zero_4d", "point"], ["points"]),
        helper.make_node("Add", ["zero_3d", "seen"], ["visibilities"]),
        helper.make_node("Add", ["zero_2d", "right"], ["sides"]),
    ]
    return model(nodes, "landmarks", constants, {"image": PICTURE}, EDGES)
