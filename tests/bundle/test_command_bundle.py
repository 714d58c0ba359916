"""`ear-teacher bundle verify` on whole and broken bundles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import ear_teacher
from bundle.manifest import FileEntry, Manifest, read_manifest, write_manifest
from bundle.verify import verify_bundle


def verify(folder: Path, *flags: str) -> int:
    return ear_teacher.main(["bundle", "verify", str(folder), *flags])


def test_a_whole_bundle_is_told_so(bundle_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(bundle_folder) == 0
    out = capsys.readouterr().out
    assert "encoder fp32 (encoder.onnx): contract holds, golden cosine 1.000000" in out
    assert "decoder fp32 (decoder.onnx): contract holds, golden pictures at" in out
    assert out.endswith("the bundle is whole\n")


def test_a_changed_byte_fails_with_its_file(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((copied / "golden.npz").read_bytes())
    data[-1] ^= 1
    (copied / "golden.npz").write_bytes(data)
    assert verify(copied) == 2
    assert "golden.npz was changed" in capsys.readouterr().out


def test_a_graph_that_computes_something_else_fails_and_the_rest_is_still_checked(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = onnx.load(copied / "encoder.onnx")
    weights = next(tensor for tensor in graph.graph.initializer if tensor.name == "weights")
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(np.roll(values, 1, axis=0), "weights"))
    onnx.save(graph, copied / "encoder.onnx")
    manifest = read_manifest(copied)
    files = {name: FileEntry.of(copied / name).model_dump() for name in manifest.files}
    write_manifest(copied, Manifest.model_validate(manifest.values() | {"files": files}))
    assert verify(copied) == 2
    out = capsys.readouterr().out
    assert "FAIL  encoder fp32 (encoder.onnx): onnxruntime-cpu fp32 does not reproduce golden.npz" in out
    assert "ok    decoder fp32" in out
    assert verify(copied, "--no-golden") == 0


def test_a_folder_that_is_no_bundle_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(tmp_path) == 2
    assert "is not a bundle" in capsys.readouterr().out


def test_a_stray_file_is_noted_and_harmless(copied: Path) -> None:
    (copied / "notes.txt").write_text("mine")
    lines: list[str] = []
    assert verify_bundle(copied, lambda passed, line: lines.append(line))
    assert any("notes.txt is not in the manifest" in line for line in lines)
