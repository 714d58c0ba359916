"""Plans built for real with TensorRT-RTX, and the full library's lines against a fake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import bundle.tensorrt.build
import bundle.tensorrt.flavour
from bundle.errors import EngineError, RuntimeUnavailable
from bundle.tensorrt.build import BuildOptions, BuiltPlan, build_plan
from bundle.tensorrt.cuda import gpu_present
from bundle.tensorrt.flavour import Flavour, load_flavour
from tests.bundle.fake_gpu import FakeCuda, fake_flavour
from tests.bundle.fake_tensorrt import FakeTensorRt

AHEAD = BuildOptions(batches=(1, 4, 16), target="sm89")


@pytest.fixture(scope="module")
def rtx() -> Flavour:
    pytest.importorskip("tensorrt_rtx_bindings")
    return load_flavour("tensorrt-rtx")


def test_profiles_meet_without_overlap() -> None:
    assert BuildOptions().profiles() == [(1, 1, 1), (2, 8, 8), (9, 32, 32)]
    assert BuildOptions(batches=(8,)).profiles() == [(1, 8, 8)]


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"batches": ()}, "--batches"),
        ({"batches": (8, 1)}, "--batches"),
        ({"batches": (0, 1)}, "--batches"),
        ({"optimisation_level": 6}, "--level"),
        ({"workspace_bytes": 0}, "--workspace-gib"),
    ],
)
def test_options_that_make_no_sense_name_their_flag(options: dict, flag: str) -> None:
    with pytest.raises(EngineError, match=flag):
        BuildOptions(**options)


@pytest.mark.parametrize("graph", ["encoder", "decoder"])
def test_both_graphs_build_for_real_with_uint8_edges_and_three_profiles(
    rtx: Flavour, bundle_folder: Path, graph: str
) -> None:
    built = build_plan(bundle_folder / f"{graph}.onnx", rtx, "fp32", AHEAD)
    assert len(built.plan) > 10_000
    assert built.timing_cache == b""  # TensorRT-RTX has none


def test_a_half_precision_graph_builds_strongly_typed(rtx: Flavour, tmp_path: Path) -> None:
    """Casts at the edges and fp16 between: the form in which fp16 travels, as TensorRT 11 has no fp16 flag."""
    weights = helper.make_tensor("w", TensorProto.FLOAT16, [8, 8], np.eye(8, dtype=np.float16).ravel())
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["half", "w"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "half", edges[:1], edges[1:], [weights]), opset_imports=[helper.make_opsetid("", 18)]
    )
    onnx.save(model, tmp_path / "half.onnx")
    assert build_plan(tmp_path / "half.onnx", rtx, "fp16", AHEAD).plan


def test_the_full_library_is_typed_strongly_and_goes_on_from_its_timing_cache(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle.tensorrt.build, "Cuda", FakeCuda)
    monkeypatch.setattr(bundle.tensorrt.flavour, "LOGGERS", {})
    trt = FakeTensorRt()
    built = build_plan(tmp_path / "x.onnx", Flavour("tensorrt", "11.4.0", trt), "fp32", BuildOptions(), b"before")
    assert built == BuiltPlan(b"plan", b"before and after")
    assert trt.network_flags == 1 << 3
    assert trt.cleared == ["TF32"]
    assert trt.profiles == [((1, 8), (1, 8), (1, 8)), ((2, 8), (8, 8), (8, 8)), ((9, 8), (32, 8), (32, 8))]


def test_a_build_that_fails_tells_tensorrts_reason(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle.tensorrt.build, "Cuda", FakeCuda)
    monkeypatch.setattr(bundle.tensorrt.flavour, "LOGGERS", {})
    trt = FakeTensorRt(fails="Could not find any implementation for node {Softmax_12}")
    with pytest.raises(EngineError, match=r"tensorrt 11\.4\.0 cannot build x\.onnx: Could not find any .*Softmax_12"):
        build_plan(tmp_path / "x.onnx", Flavour("tensorrt", "11.4.0", trt), "fp16")


def test_too_little_memory_for_the_largest_batch_is_told_with_the_way_out(rtx: Flavour, bundle_folder: Path) -> None:
    options = BuildOptions(batches=(1, 4096), workspace_bytes=1 << 20, target="sm89")
    with pytest.raises(EngineError, match=r"workspace.*end --batches \(1,4096\) at a smaller size"):
        build_plan(bundle_folder / "encoder.onnx", rtx, "fp32", options)


def test_a_builder_that_does_not_start_is_no_traceback(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle.tensorrt.build, "Cuda", FakeCuda)
    monkeypatch.setattr(bundle.tensorrt.flavour, "LOGGERS", {})
    trt = FakeTensorRt(dead="CUDA initialization failure with error: 35")
    with pytest.raises(RuntimeUnavailable, match=r"tensorrt 11\.4\.0 cannot start: .*driver 580"):
        build_plan(tmp_path / "x.onnx", Flavour("tensorrt", "11.4.0", trt), "fp16")


def test_a_file_that_is_no_graph_is_refused_by_name(rtx: Flavour, tmp_path: Path) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineError, match=r"cannot parse encoder\.onnx: .*Failed to parse"):
        build_plan(tmp_path / "encoder.onnx", rtx, "fp32", AHEAD)


def test_an_operator_that_tensorrt_lacks_is_named(rtx: Flavour, tmp_path: Path) -> None:
    node = helper.make_node("StringNormalizer", ["x"], ["y"])
    edges = [helper.make_tensor_value_info(name, TensorProto.STRING, ["batch"]) for name in ("x", "y")]
    graph = helper.make_graph([node], "strings", edges[:1], edges[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "strings.onnx")
    with pytest.raises(EngineError, match=r"cannot parse strings\.onnx"):
        build_plan(tmp_path / "strings.onnx", rtx, "fp32", AHEAD)


def test_a_fixed_batch_is_refused(rtx: Flavour, tmp_path: Path) -> None:
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "fixed", edges[:1], edges[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "fixed.onnx")
    with pytest.raises(EngineError, match=r"input x is \(1, 8\); an engine needs a free batch"):
        build_plan(tmp_path / "fixed.onnx", rtx, "fp32", AHEAD)


def test_an_unknown_target_is_answered_with_those_there_are(rtx: Flavour, bundle_folder: Path) -> None:
    with pytest.raises(EngineError, match="'sm61'; TensorRT-RTX .* knows .*sm89"):
        build_plan(bundle_folder / "encoder.onnx", rtx, "fp32", BuildOptions(target="sm61"))
    with pytest.raises(RuntimeUnavailable, match="--target builds ahead with TensorRT-RTX only"):
        build_plan(bundle_folder / "encoder.onnx", fake_flavour("tensorrt"), "fp32", AHEAD)


@pytest.mark.skipif(gpu_present(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(("name", "hint"), [("tensorrt", "nvidia-smi$"), ("tensorrt-rtx", "--target sm89$")])
def test_without_a_gpu_the_way_out_is_told(bundle_folder: Path, name: str, hint: str) -> None:
    with pytest.raises(
        RuntimeUnavailable, match=f"{name} builds on the GPU that will run it: no CUDA GPU can be used: .*{hint}"
    ):
        build_plan(bundle_folder / "encoder.onnx", fake_flavour(name), "fp32")
