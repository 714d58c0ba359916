"""float16 on disk, float32 arithmetic: half the size, judged by the same gate."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bundle.manifest import read_manifest
from bundle.model import load
from export.config import ExportConfig
from export.graph.fp16 import EXACT, SUFFIX, store_half
from export.write import export_bundle


def product(path, weight):
    """A graph that multiplies by `weight` (N, 64)."""
    vector = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", len(weight)])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", weight.shape[1]])
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", [vector], [out], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_the_same_graph_in_half_the_bytes_and_nearly_the_same_numbers(tmp_path):
    import onnxruntime

    path = tmp_path / "g.onnx"
    product(path, random(64, 64))
    before, x = path.stat().st_size, random(3, 64)
    expected = onnxruntime.InferenceSession(path).run(None, {"x": x})[0]
    assert store_half(path) == 1
    assert path.stat().st_size < 0.55 * before
    np.testing.assert_allclose(onnxruntime.InferenceSession(path).run(None, {"x": x})[0], expected, atol=0.02)


@pytest.mark.parametrize(
    "weight",
    [random(8, 8), random(64, 64) * 1e6, random(64, 64) * 1e-8],
    ids=["small", "beyond float16", "below float16"],
)
def test_what_float16_does_not_hold_stays(tmp_path, weight):
    path = tmp_path / "g.onnx"
    product(path, weight)
    assert store_half(path) == 0
    (kept,) = onnx.load(path).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(kept), weight)


def test_a_bundle_of_half_weights_passes_the_gate_and_the_space_stays(checkpoint, exported, crops, tmp_path):
    config = ExportConfig(precisions=("fp32",), parity_crops=4, max_batch=4, half_weights=True)
    manifest = export_bundle(checkpoint, tmp_path / "small", crops, config=config)
    assert manifest.space_id == read_manifest(exported).space_id
    halves = [name for file in ("encoder.onnx", "decoder.onnx") for name in half_tensors(tmp_path / "small" / file)]
    assert len(halves) > 4
    assert not [name for name in halves if name.startswith(EXACT)]
    with load(tmp_path / "small") as model, load(exported, precision="fp32") as whole:
        model.check_golden()
        given, expected = model.encode(crops[:4]), whole.encode(crops[:4])
        assert (given.embedding * expected.embedding).sum(1).min() > 0.99999
        assert not np.array_equal(given.mu, expected.mu)


def half_tensors(path):
    return [tensor.name for tensor in onnx.load(path).graph.initializer if tensor.name.endswith(SUFFIX)]
