"""A whole bundle in milliseconds: ONNX graphs that hold the encoder's and decoder's contracts with a few numbers.

For tests of what loads and runs bundles (here, in the index's and the service's tests). Its embedding is a random
projection of a 16x16 thumbnail, so that pictures that look alike are near each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle.fingerprint import space_id
from bundle.framing import DEFAULT_FRAMING
from bundle.golden import GOLDEN_NAME, golden_crops, write_golden
from bundle.manifest import FileEntry, GraphContract, Manifest, Tensor, Variant, write_manifest
from bundle.runtimes import open_session

LATENT_DIM = 32
SIDE = 128
COARSE = 16


def make_bundle(folder: Path, latent_dim: int = LATENT_DIM, seed: int = 0) -> Manifest:
    """Write encoder.onnx, decoder.onnx, golden.npz and manifest.json into `folder` (made if absent)."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    # Orthogonal rows: the decoder (the transpose) then gives a recognisable thumbnail back.
    weights = np.linalg.qr(rng.normal(size=(COARSE * COARSE * 3, latent_dim)))[0].astype(np.float32)
    onnx.save(encoder_graph(weights), folder / "encoder.onnx")
    onnx.save(decoder_graph(weights), folder / "decoder.onnx")
    write_golden(folder, golden_crops(), reference(folder))
    files = {name: FileEntry.of(folder / name) for name in ("encoder.onnx", "decoder.onnx", GOLDEN_NAME)}
    return write_manifest(folder, manifest(weights, files, latent_dim))


def manifest(weights: np.ndarray, files: dict[str, FileEntry], latent_dim: int) -> Manifest:
    vector = [Tensor(name=name, dtype="float32", shape=["batch", latent_dim]) for name in ("embedding", "mu", "logvar")]
    image = Tensor(name="image", dtype="uint8", shape=["batch", SIDE, SIDE, 3])
    latent = Tensor(name="latent", dtype="float32", shape=["batch", latent_dim])
    return Manifest(
        space_id=space_id({"weights": weights}, {"kind": "thumbnail"}, DEFAULT_FRAMING),
        created="2026-01-01T00:00:00Z",
        preset="thumbnail",
        latent_dim=latent_dim,
        tensors={
            "encoder": GraphContract(inputs=[image], outputs=vector),
            "decoder": GraphContract(inputs=[latent], outputs=[image]),
        },
        files=files,
        variants=[
            Variant(graph="encoder", precision="fp32", file="encoder.onnx", default_for=["onnxruntime-cpu"]),
            Variant(graph="decoder", precision="fp32", file="decoder.onnx", default_for=["onnxruntime-cpu"]),
        ],
    )


def reference(folder: Path) -> dict[str, Any]:
    """What the graphs themselves give for the golden crops."""
    encoded = open_session(folder / "encoder.onnx", threads=1).run({"image": golden_crops()})
    image = open_session(folder / "decoder.onnx", threads=1).run({"latent": encoded["mu"]})["image"]
    return encoded | {"image": image}


def encoder_graph(weights: np.ndarray) -> onnx.ModelProto:
    """(B, 128, 128, 3) uint8 -> embedding, mu, logvar (B, D) float32."""
    dim = weights.shape[1]
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "one"], ["normal"]),
        helper.make_node("AveragePool", ["normal"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["coarse"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["mu"]),
        helper.make_node("Mul", ["mu", "nothing"], ["logvar"]),
        helper.make_node("LpNormalization", ["mu"], ["embedding"], axis=1, p=2),
    ]
    constants = {"scale": np.float32(127.5), "one": np.float32(1), "nothing": np.float32(0), "weights": weights}
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", dim]) for name in ("embedding", "mu", "logvar")
    ]
    return _model("encoder", nodes, [image], outputs, constants)


def decoder_graph(weights: np.ndarray) -> onnx.ModelProto:
    """latent (B, D) float32 -> image (B, 128, 128, 3) uint8."""
    nodes = [
        helper.make_node("MatMul", ["latent", "weights"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["coarse"]),
        helper.make_node("Resize", ["coarse", "", "scales"], ["planes"], mode="nearest"),
        helper.make_node("Add", ["planes", "one"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "low", "high"], ["clipped"]),
        helper.make_node("Transpose", ["clipped"], ["pixels"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["pixels"], ["image"], to=TensorProto.UINT8),
    ]
    constants = {
        "weights": np.ascontiguousarray(weights.T),
        "shape": np.asarray([-1, 3, COARSE, COARSE], dtype=np.int64),
        "scales": np.asarray([1, 1, SIDE / COARSE, SIDE / COARSE], dtype=np.float32),
        "one": np.float32(1),
        "scale": np.float32(127.5),
        "low": np.float32(0),
        "high": np.float32(255),
    }
    latent = helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["batch", weights.shape[1]])
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    return _model("decoder", nodes, [latent], [image], constants)


def _model(name: str, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> Any:
    weights = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8  # older runtimes read it too
    onnx.checker.check_model(model, full_check=True)
    return model
