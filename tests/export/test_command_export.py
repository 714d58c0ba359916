"""`ear-teacher export` as a user types it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import ear_teacher
from bundle.manifest import read_manifest
from export.parity import judge, variants


@pytest.fixture
def pictures(crops, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, crop in enumerate(crops[::4]):
        Image.fromarray(crop).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def command(exported, checkpoint, pictures, tmp_path, monkeypatch):
    """The command line up to `--out`, with the files of the shared bundle in place of new exports."""
    monkeypatch.setattr(
        "export.write.write_variant",
        lambda rewritten, graph, precision, folder, opset, keep_float32: Path(
            shutil.copy(exported / variants.file_name(graph, precision), folder)
        ),
    )
    return ["export", str(checkpoint), "--crops", str(pictures), "--out", str(tmp_path / "bundle")]


def test_it_writes_a_bundle_and_prints_the_table(command, tmp_path, capsys):
    assert ear_teacher.main([*command, "--precision", "fp32,fp16"]) == 0
    out = capsys.readouterr().out
    manifest = read_manifest(tmp_path / "bundle")
    assert manifest.parity["crops"] == 10
    assert manifest.calibration is None  # a plain folder says nothing of subjects
    assert "encoder: agreement with torch (float32)" in out
    assert "cosine min" in out
    assert "passed" in out
    assert manifest.space_id in out


def test_a_refused_variant_is_told_and_the_status_is_1(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(judge.LIMITS, "fp16", replace(judge.LIMITS["fp16"], relative_error_max=0.0))
    assert ear_teacher.main(command) == 1
    assert "refused by the parity judge and not in the bundle: encoder fp16" in capsys.readouterr().out
    assert len(read_manifest(tmp_path / "bundle").variants) == 3


def test_a_refused_float32_graph_is_status_2_with_the_table_and_no_bundle(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(judge.LIMITS, "fp32", replace(judge.LIMITS["fp32"], cosine_min=1.1))
    assert ear_teacher.main(command) == 2
    captured = capsys.readouterr()
    assert "is below 1.1" in captured.out
    assert "ear-teacher export: the float32 graphs do not agree with torch" in captured.err
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--precision", "fp8"], "--precision 'fp8'"),
        (["--opset", "3"], "--opset 3"),
        (["--keep-float32", "encoder.sam.lairs"], "--keep-float32 encoder.sam.lairs: no such module"),
        (["--crops", "nowhere"], "--crops: --data nowhere"),
    ],
)
def test_mistakes_are_one_line(command, capsys, flags, said):
    assert ear_teacher.main([*command, *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_one_line(command, capsys, tmp_path):
    (tmp_path / "x.ckpt").write_bytes(b"nothing")
    command[1] = str(tmp_path / "x.ckpt")
    assert ear_teacher.main(command) == 2
    assert "cannot be read as a checkpoint" in capsys.readouterr().err
