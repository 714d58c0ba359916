"""TensorRT-RTX builds what the export writes, for real and without a GPU: types, uint8 edges, free batch, profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.engines import build_engines
from bundle.errors import EngineError
from bundle.tensorrt.build import BuildOptions, build_plan
from bundle.tensorrt.cache import EngineCache
from bundle.tensorrt.flavour import load_flavour
from export.graph.attention import attention_form
from export.graph.rewrite import rewrite
from export.parity.variants import write_variant
from tests.export.conftest import make_vae
from training.networks.vae import EarVAE
from training.presets import PRESETS

pytest.importorskip("tensorrt_rtx_bindings")
AHEAD = BuildOptions(batches=(1, 8, 32), target="sm89")


def test_an_exported_bundle_gets_its_engines(exported: Path, tmp_path: Path) -> None:
    engines = build_engines(exported, "tensorrt-rtx", "fp16", AHEAD, EngineCache(tmp_path))
    assert [(engine.variant.graph, engine.variant.precision) for engine in engines] == [
        ("encoder", "fp16"),
        ("decoder", "fp16"),
    ]
    assert all(engine.size_bytes > 10_000 for engine in engines)


def test_a_portable_float32_encoder_builds_too(vae: EarVAE, tmp_path: Path) -> None:
    onnx = write_variant(rewrite(vae), "encoder", "fp32", tmp_path, 20)
    assert len(build_plan(onnx, load_flavour("tensorrt-rtx"), "fp32", AHEAD).plan) > 10_000


def test_the_float32_encoder_for_cpus_is_refused_by_name_of_its_operator(exported: Path) -> None:
    with pytest.raises(EngineError, match="MultiHeadAttention"):
        build_plan(exported / "encoder.onnx", load_flavour("tensorrt-rtx"), "fp32", AHEAD)


@pytest.mark.parametrize("opset", [pytest.param(20, marks=pytest.mark.slow), pytest.param(23, marks=pytest.mark.soak)])
def test_the_full_size_teacher_builds_with_three_profiles(tmp_path: Path, opset: int) -> None:
    networks = rewrite(make_vae(PRESETS["teacher"]), attention_form("fp16", opset, portable=False))
    for graph in ("encoder", "decoder"):
        onnx = write_variant(networks, graph, "fp16", tmp_path, opset)
        built = build_plan(onnx, load_flavour("tensorrt-rtx"), "fp16", AHEAD)
        assert len(built.plan) > 0.9 * onnx.stat().st_size
