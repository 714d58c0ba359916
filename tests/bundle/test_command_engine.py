"""`ear-teacher engine`: engines ahead of time, and one sentence where that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

import ear_teacher
from bundle.engines import build_engines, choose_flavour, engine_variants
from bundle.errors import RuntimeUnavailable
from bundle.manifest import Variant, read_manifest
from bundle.tensorrt.cuda import gpu_present


def test_a_bundles_engines_are_built_ahead_and_found_the_second_time(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    argv = ["engine", str(bundle_folder), "--runtime", "tensorrt-rtx", "--target", "sm89", "--batches", "1,4"]
    for _ in range(2):
        assert ear_teacher.main([*argv, "--cache", str(tmp_path)]) == 0
    progress = capsys.readouterr().err
    assert progress.count("encoder fp32: tensorrt-rtx") == 2
    assert len(list(tmp_path.glob("*.plan"))) == 2
    assert "for any sm89" in progress


@pytest.mark.skipif(gpu_present(), reason="needs a machine without a GPU")
def test_without_a_gpu_the_command_ends_with_one_sentence(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    assert ear_teacher.main(["engine", str(bundle_folder), "--cache", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ear-teacher engine: ")
    assert error.count("\n") == 1
    assert "driver" in error or "GPU" in error


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--batches", "8,1"], "--batches is (8, 1)"), (["--runtime", "onnxruntime-cpu"], "no engines")],
)
def test_wrong_flags_are_named(
    bundle_folder: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    assert ear_teacher.main(["engine", str(bundle_folder), *flags]) == 2
    assert words in capsys.readouterr().err


def test_batches_that_are_no_numbers_are_refused(bundle_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ear_teacher.main(["engine", str(bundle_folder), "--batches", "some"])
    assert "not a list of batch sizes such as 1,8,32" in capsys.readouterr().err


def test_without_any_tensorrt_both_ways_to_install_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeUnavailable, match=r"no TensorRT is installed: pip .* or: pip .*tensorrt-rtx"):
        choose_flavour()


def test_a_changed_bundle_gets_no_engines(copied: Path, tmp_path: Path) -> None:
    (copied / "encoder.onnx").write_bytes(b"x")
    with pytest.raises(Exception, match=r"encoder\.onnx has 1 bytes"):
        build_engines(copied, "tensorrt-rtx")


def test_engines_are_built_of_the_files_that_would_be_served(bundle_folder: Path) -> None:
    manifest = read_manifest(bundle_folder)
    half = Variant(graph="encoder", precision="fp16", file="encoder.onnx", default_for=["tensorrt"])
    both = manifest.model_copy(update={"variants": [*manifest.variants, half]})
    assert [(v.graph, v.precision) for v in engine_variants(both, "tensorrt")] == [
        ("encoder", "fp16"),
        ("decoder", "fp32"),
    ]
    assert [v.precision for v in engine_variants(both, "tensorrt", "fp32")] == ["fp32", "fp32"]
