"""A valid bundle made by hand in milliseconds: a linear encoder and its transpose as the decoder, as real ONNX files.

The service must not care what computes. 128x128 pictures are averaged to 16x16 and rotated into 1024 numbers, so that
reconstructions are recognisable and mirrored pictures have other vectors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle.fingerprint import space_id
from bundle.framing import Framing
from bundle.golden import GOLDEN_NAME, golden_crops, write_golden
from bundle.manifest import EarSpread, FileEntry, GraphContract, Manifest, Tensor, Variant, write_manifest
from bundle.runtimes import open_session
from measure.calibration import calibrate

LATENT = 1024
COARSE = 3 * 16 * 16
SCALE = 64.0
CALIBRATED_ON = "made-up ears: 50 pictures of 10 people"


def write_tiny_bundle(folder: Path, seed: int = 0, warp: float = 0.0, spread: bool = False) -> Manifest:
    """Write a bundle whose space depends on `seed`.

    Without `warp` all spaces are rotations of one another: other vectors, the same similarities. With it, pixels weigh
    differently and neighbours change too; such a bundle redraws badly. With `spread` the encoder says how sure it is:
    surer of pictures that are darker on the right than on the left, and not at all of plain ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((LATENT, COARSE)))[0].T.astype(np.float32)  # (768, 1024), orthonormal rows
    basis *= np.exp(warp * rng.standard_normal((COARSE, 1))).astype(np.float32)
    onnx.save(encoder_graph(basis, spread), folder / "encoder.onnx")
    onnx.save(decoder_graph(basis), folder / "decoder.onnx")
    crops = golden_crops()
    with_encoder = open_session(folder / "encoder.onnx", "onnxruntime-cpu", 1)
    outputs = with_encoder.run({"image": crops})
    with_decoder = open_session(folder / "decoder.onnx", "onnxruntime-cpu", 1)
    write_golden(folder, crops, {**outputs, **with_decoder.run({"latent": outputs["mu"]})})
    write_eigenears(folder, basis)
    names = ("encoder.onnx", "decoder.onnx", GOLDEN_NAME, "eigenears.npz")
    manifest = Manifest(
        space_id=space_id({"basis": basis}, {"kind": "linear", "seed": seed}, Framing()),
        created="2026-01-01T00:00:00+00:00",
        preset="linear",
        latent_dim=LATENT,
        tensors={
            "encoder": contract("image", PICTURE, encoded(spread)),
            "decoder": contract("latent", VECTOR, DECODED),
        },
        files={name: FileEntry.of(folder / name) for name in names},
        variants=[
            Variant(graph="encoder", precision="fp32", file="encoder.onnx"),
            Variant(graph="decoder", precision="fp32", file="decoder.onnx"),
        ],
        ear_spread=EarSpread(median=0.02) if spread else None,
        parity={"fp32": {"cosine_min": 1.0}},
        training={"rank1": 0.5},
        calibration=calibrate(
            rng.normal(0.8, 0.1, 500), rng.normal(0.2, 0.1, 5000), calibrated_on=CALIBRATED_ON
        ).to_dict(),
    )
    return write_manifest(folder, manifest)


def write_eigenears(folder, basis, count=16):
    """Components that the decoder can draw: rows of its basis, by falling variance."""
    variance = np.linspace(20.0, 1.0, count, dtype=np.float32)
    arrays = {
        "mean": np.zeros(LATENT, np.float32),
        "components": basis[:count],
        "explained_variance": variance,
        "explained_variance_ratio": variance / (2 * variance.sum()),
    }
    np.savez_compressed(folder / "eigenears.npz", count=np.int64(100), **arrays)


PICTURE = ("uint8", ["batch", 128, 128, 3])
VECTOR = ("float32", ["batch", LATENT])
NUMBER = ("float32", ["batch"])
DECODED = {"image": PICTURE}


def contract(name, edge, outputs):
    return GraphContract(
        inputs=[Tensor(name=name, dtype=edge[0], shape=edge[1])],
        outputs=[Tensor(name=key, dtype=dtype, shape=shape) for key, (dtype, shape) in outputs.items()],
    )


def encoded(spread):
    outputs = {"embedding": VECTOR, "mu": VECTOR, "logvar": VECTOR}
    return {**outputs, "spread": NUMBER} if spread else outputs


def encoder_graph(basis, spread=False):
    constants = {"basis": basis, "grey": f32(128.0), "scale": f32(SCALE), "flat": i64(-1, COARSE), "low": f32(-6.0)}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["chw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["chw"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["coarse", "flat"], ["row"]),
        helper.make_node("Sub", ["row", "grey"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "basis"], ["mu"]),
        helper.make_node("LpNormalization", ["mu"], ["embedding"], axis=1, p=2),
        helper.make_node("Mul", ["mu", "low"], ["scaled_mu"]),
        helper.make_node("Sub", ["scaled_mu", "scaled_mu"], ["logvar"]),
    ]
    if spread:
        ramp = np.tile(np.linspace(1, -1, 16, dtype=np.float32), COARSE // 16)
        constants |= {"ramp": ramp, "one": i64(1), "base": f32(0.02), "plain": f32(0.1), "few": f32(-40.0)}
        nodes += [
            helper.make_node("Mul", ["scaled", "ramp"], ["ramped"]),
            helper.make_node("ReduceMean", ["ramped", "one"], ["falls"], keepdims=0),
            helper.make_node("Neg", ["falls"], ["rises"]),
            helper.make_node("Exp", ["rises"], ["doubt"]),
            helper.make_node("Mul", ["doubt", "base"], ["own"]),
            helper.make_node("Mul", ["scaled", "scaled"], ["squares"]),
            helper.make_node("ReduceMean", ["squares", "one"], ["contrast"], keepdims=0),
            helper.make_node("Mul", ["contrast", "few"], ["shown"]),
            helper.make_node("Exp", ["shown"], ["hidden"]),
            helper.make_node("Mul", ["hidden", "plain"], ["blank"]),
            helper.make_node("Add", ["own", "blank"], ["spread"]),
        ]
    return model(nodes, "encoder", constants, {"image": PICTURE}, encoded(spread))


def decoder_graph(basis):
    constants = {
        "basis_t": np.ascontiguousarray(basis.T),
        "grey": f32(128.0),
        "scale": f32(SCALE),
        "grid": i64(-1, 3, 16, 16),
        "sizes": np.array([1, 1, 8, 8], np.float32),
        "zero": f32(0.0),
        "full": f32(255.0),
    }
    nodes = [
        helper.make_node("MatMul", ["latent", "basis_t"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "scale"], ["centred"]),
        helper.make_node("Add", ["centred", "grey"], ["row"]),
        helper.make_node("Reshape", ["row", "grid"], ["coarse"]),
        helper.make_node("Resize", ["coarse", "", "sizes"], ["fine"], mode="nearest"),
        helper.make_node("Clip", ["fine", "zero", "full"], ["clipped"]),
        helper.make_node("Transpose", ["clipped"], ["hwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["hwc"], ["image"], to=TensorProto.UINT8),
    ]
    return model(nodes, "decoder", constants, {"latent": VECTOR}, DECODED)


def f32(value):
    return np.array(value, np.float32)


def i64(*values):
    return np.array(values, np.int64)


def model(nodes, name, constants, inputs, outputs):
    kinds = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}

    def edges(described):
        return [helper.make_tensor_value_info(key, kinds[dtype], shape) for key, (dtype, shape) in described.items()]

    initial = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, edges(inputs), edges(outputs), initial)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return made
