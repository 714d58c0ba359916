"""int8 is shipped if and only if it passes the gate and is faster here; else the export says why and goes on."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import ear_teacher
from bundle.manifest import read_manifest, verify_files
from bundle.model import choose_variant, load
from bundle.session import FakeSession
from export.bench.ab_latency import Race, race
from export.config import ExportConfig
from export.errors import GraphError
from export.graph.int8 import write_int8
from export.parity import limits, variants
from export.write import export_bundle

CONFIG = ExportConfig(precisions=("fp32", "int8"), parity_crops=8, max_batch=8)


@pytest.fixture
def export(exported, checkpoint, crops, tmp_path, monkeypatch):
    """An export with int8 that takes its float32 files from the shared bundle and finds the given ratio in the race."""

    def take(rewritten, graph, precision, folder, opset, keep_float32):
        return Path(shutil.copy(exported / variants.file_name(graph, precision), folder))

    def run(ratio):
        monkeypatch.setattr("export.write.write_variant", take)
        monkeypatch.setattr(
            "export.parity.int8_variant.race",
            lambda first, second, inputs: Race(len(inputs["image"]), 1.0, ratio, ratio, 15),
        )
        return export_bundle(checkpoint, tmp_path / "bundle", crops, config=CONFIG)

    return run


def test_the_linear_layers_are_int8_and_nothing_else(exported, tmp_path):
    path = write_int8(exported / "encoder.onnx", tmp_path / "encoder.int8.onnx")
    before, after = onnx.load(str(exported / "encoder.onnx")), onnx.load(str(path))
    kinds = [node.op_type for node in after.graph.node]
    layers = [
        node for node in before.graph.node if node.op_type == "Gemm" and node.input[1].startswith("encoder.sam.layers.")
    ]
    assert kinds.count("MatMulInteger") == len(layers) > 0
    for kind in ("Conv", "LayerNormalization", "MultiHeadAttention"):
        assert kinds.count(kind) == [node.op_type for node in before.graph.node].count(kind)


def test_a_graph_without_such_layers_is_refused(exported, tmp_path):
    with pytest.raises(GraphError, match="nothing can be quantised"):
        write_int8(exported / "decoder.onnx", tmp_path / "decoder.int8.onnx")


def test_faster_and_faithful_is_shipped_and_chosen_only_by_name(export, tmp_path, crops):
    manifest = export(ratio=0.6)
    assert manifest.parity["int8"]["shipped"] is True
    assert [one["batch"] for one in manifest.parity["int8"]["races"]] == [1, 8]
    assert manifest.parity["limits"]["int8"]["cosine_min"] == 0.999
    verify_files(tmp_path / "bundle", manifest)
    assert choose_variant(manifest, "encoder", "onnxruntime-cpu").precision == "fp32"
    with load(tmp_path / "bundle", "onnxruntime-cpu", "int8") as model:
        assert model.precision == "int8"
        assert model.check_golden().embedding_cosine > 0.98
        assert np.isfinite(model.encode(crops[:2]).embedding).all()


def test_not_faster_is_left_out_with_the_reason_and_the_export_goes_on(export, tmp_path):
    manifest = export(ratio=1.1)
    assert "takes 1.10 of float32's time at batch" in manifest.parity["int8"]["why_not"]
    assert {variant.precision for variant in manifest.variants} == {"fp32"}
    assert not (tmp_path / "bundle" / "encoder.int8.onnx").exists()
    assert manifest.parity["refused"] == []
    verify_files(tmp_path / "bundle", read_manifest(tmp_path / "bundle"))


def test_unfaithful_is_refused_by_the_gate_before_any_race(export, tmp_path, monkeypatch):
    monkeypatch.setitem(limits.LIMITS, "int8", replace(limits.LIMITS["int8"], cosine_min=1.1))
    manifest = export(ratio=0.1)
    assert manifest.parity["int8"]["why_not"].startswith("the gate refused it: cosine")
    assert manifest.parity["int8"]["races"] == []
    assert manifest.parity["refused"] == ["encoder int8"]
    assert {variant.file for variant in manifest.variants} == {"encoder.onnx", "decoder.onnx"}


def test_the_command_says_why_there_is_no_int8(exported, checkpoint, monkeypatch, tmp_path, capsys):
    told = {"shipped": False, "why_not": "it takes [twice] the time", "races": []}
    manifest = read_manifest(exported)
    manifest = manifest.model_copy(update={"parity": manifest.parity | {"int8": told}})
    monkeypatch.setattr("export.write.export_bundle", lambda *arguments: manifest)
    monkeypatch.setattr(
        "export.crops.load_crops",
        lambda *arguments: type("Crops", (), dict.fromkeys(("pixels", "identities"), None) | {"skipped": ()}),
    )
    flags = ["--crops", "any", "--out", str(tmp_path / "bundle"), "--precision", "fp32,int8"]
    assert ear_teacher.main(["export", str(checkpoint), *flags]) == 0
    assert "no int8 in the bundle: it takes [twice] the time" in capsys.readouterr().out


def test_a_race_is_interleaved_and_judged_by_its_pairs(monkeypatch):
    calls, now = [], [0.0]

    def runner(name, seconds):
        def run(inputs):
            calls.append(name)
            now[0] += seconds
            return {}

        return FakeSession(run)

    monkeypatch.setattr("export.bench.ab_latency.time.perf_counter", lambda: now[0])
    found = race(runner("a", 2.0), runner("b", 1.0), {"image": np.zeros((3, 1))}, budget_s=10.0)
    assert "".join(calls) == "ab" * (1 + found.rounds)
    assert (found.batch, found.rounds, found.ratio) == (3, 4, 0.5)
    assert (found.first_ms, found.second_ms) == (2000.0, 1000.0)
