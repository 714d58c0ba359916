"""Runtimes beside the CPU's, stood in for by sessions that are sound, stray, break off or do not load."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import ContractError, RuntimeUnavailable
from bundle.model import choose_variant
from bundle.runtimes import open_session
from bundle.session import FakeSession
from export import command_export
from export.config import ExportConfig
from export.parity import variants
from export.write import export_bundle

BOTH = ExportConfig(precisions=("fp32", "fp16"), parity_crops=4, max_batch=4)


def sound(outputs, precision):
    return outputs


def strays_in_half(outputs, precision):
    """An encoder that leaves its way in fp16, as one with another accumulation might."""
    if precision == "fp32" or "mu" not in outputs:
        return outputs
    rng = np.random.default_rng(0)
    return {name: array + rng.normal(0, 0.3, array.shape).astype(np.float32) for name, array in outputs.items()}


def breaks_off(outputs, precision):
    raise RuntimeError("CUDA error 700\nand what follows")


@pytest.fixture
def export(exported, checkpoint, crops, tmp_path, monkeypatch, caplog):
    """export(runtime's name, change of its outputs) -> (manifest, lines of the log)."""

    def take(rewritten, graph, precision, folder, opset, keep_float32):
        return Path(shutil.copy(exported / variants.file_name(graph, precision), folder))

    monkeypatch.setattr("export.write.write_variant", take)

    def run(name, change):
        def opened(path, runtime, precision):
            if runtime != name:
                return open_session(path, runtime, precision=precision)
            if change is None:
                raise ContractError("com.microsoft:MultiHeadAttention is not known")
            inner = open_session(path, "onnxruntime-cpu", precision=precision)
            return FakeSession(lambda inputs: change(inner.run(inputs), precision), name, precision, inner.signature())

        monkeypatch.setattr(variants, "candidates", lambda: (name, "onnxruntime-cpu"))
        monkeypatch.setattr(variants, "open_session", opened)
        manifest = export_bundle(checkpoint, tmp_path / "bundle", crops, config=BOTH)
        return manifest, caplog.messages

    return run


def rows_of(manifest, runtime):
    return [row for row in manifest.parity["rows"] if row["runtime"] == runtime]


def test_every_file_is_compared_on_the_other_runtime_of_the_machine(export):
    manifest, _ = export("onnxruntime-cuda", sound)
    judged = {(row["graph"], row["precision"], row["batch"]) for row in rows_of(manifest, "onnxruntime-cuda")}
    assert judged == {(row["graph"], row["precision"], row["batch"]) for row in rows_of(manifest, "onnxruntime-cpu")}
    assert all(row["passed"] for row in manifest.parity["rows"])
    assert manifest.parity["refused"] == manifest.parity["refused_on"] == []
    assert {variant.parity["runtime"] for variant in manifest.variants} <= {"onnxruntime-cpu", "torch-fp16"}


def test_what_strays_on_one_runtime_is_shipped_and_not_taken_there(export):
    manifest, _ = export("tensorrt", strays_in_half)
    assert manifest.parity["refused"] == []
    assert manifest.parity["refused_on"] == ["encoder fp16 on tensorrt"]
    assert choose_variant(manifest, "encoder", "tensorrt").precision == "fp32"
    assert choose_variant(manifest, "decoder", "tensorrt").precision == "fp16"
    assert choose_variant(manifest, "encoder", "tensorrt-rtx").precision == "fp16"
    with pytest.raises(RuntimeUnavailable, match="parity judge refused the encoder at fp16 on tensorrt: cosine"):
        choose_variant(manifest, "encoder", "tensorrt", "fp16")


def test_what_breaks_off_is_refused_there_with_its_words(export):
    manifest, _ = export("onnxruntime-cuda", breaks_off)
    assert len(manifest.parity["refused_on"]) == 4
    assert rows_of(manifest, "onnxruntime-cuda")[0]["refusals"] == ["it does not run: CUDA error 700"]
    with pytest.raises(RuntimeUnavailable, match="it has: none"):
        choose_variant(manifest, "encoder", "onnxruntime-cuda")
    assert choose_variant(manifest, "encoder", "onnxruntime-cpu").precision == "fp32"


def test_a_runtime_that_cannot_load_a_file_is_logged_and_refuses_nothing(export):
    manifest, lines = export("tensorrt", None)
    assert rows_of(manifest, "tensorrt") == manifest.parity["refused_on"] == []
    assert "encoder.onnx: not compared on tensorrt: com.microsoft:MultiHeadAttention is not known" in lines


def test_what_is_refused_on_a_runtime_ends_with_status_1(export, tmp_path, capsys):
    from rich.console import Console

    manifest, _ = export("tensorrt", strays_in_half)
    assert command_export._conclude(Console(width=160), tmp_path / "bundle", manifest, 1.0) == 1
    assert "not used there: encoder fp16 on tensorrt" in capsys.readouterr().out
