"""`ear-teacher bench` on a small bundle: real processes, real ONNX Runtime, figures that hang together."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import ear_teacher
from bundle.manifest import read_manifest
from export.bench import jobs
from export.bench.hardware import Hardware, this_machine
from export.bench.jobs import Job, Result
from export.bench.peak import measure_peak
from export.graph.flops import encoder_gflop, matmul_gflop
from tests.export.conftest import make_vae


@pytest.fixture(scope="module")
def written(exported, tmp_path_factory):
    """One run of the command, with every file that it can write."""
    folder = tmp_path_factory.mktemp("bench")
    pictures = folder / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(pictures / "ear.png")
    flags = ["--runtime", "onnxruntime-cpu,tensorrt", "--precision", "fp32", "--batches", "1,3", "--seconds", "0.02"]
    files = ["--json", str(folder / "now.json"), "--markdown", str(folder / "now.md"), "--plot", str(folder / "p.html")]
    status = ear_teacher.main(["bench", str(exported), *flags, *files, "--pictures", str(pictures)])
    assert status == 0
    return folder


@pytest.fixture(scope="module")
def report(written):
    return json.loads((written / "now.json").read_text())


def test_every_row_has_every_figure(report):
    (result,) = report["results"]
    assert [row["batch"] for row in result["rows"]] == [1, 3]
    assert 0 < result["warm_start_s"] < 60
    assert result["memory_mib"] > 20
    for row in result["rows"]:
        for part in ("device", "end_to_end"):
            figures = row[part]
            assert 0 < figures["p50_ms"] <= figures["p90_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
            assert len(figures["windows_ms"]) >= 3
        assert set(row["stages_ms"]) == {"decode", "queue", "compute", "serialise"}
        assert 0 < row["share_of_limit"] < 1.5
        assert row["device_images_per_s"] * row["device"]["mean_ms"] == pytest.approx(1000 * row["batch"])


def test_the_report_says_what_it_was_measured_on(report, exported):
    assert report["hardware"]["fingerprint"] == this_machine().fingerprint()
    assert report["bundle_id"] == read_manifest(exported).bundle_id
    assert "onnxruntime" in report["versions"]


def test_a_runtime_that_is_missing_is_one_sentence(report):
    (note,) = [note for note in report["notes"] if note.startswith("tensorrt fp32: not measured: ")]
    assert "\n" not in note
    assert "tensorrt is not installed" in note
    assert "Traceback" not in note


def test_tables_and_plot_are_written(written):
    table = (written / "now.md").read_text()
    assert "| onnxruntime-cpu | fp32 | 3 |" in table
    assert "where the time of a request goes" in table
    page = (written / "p.html").read_text()
    assert "data:image/png;base64," in page
    assert "onnxruntime-cpu" in page


def test_the_arithmetic_is_the_networks(exported, report):
    gflop = encoder_gflop(read_manifest(exported))
    assert gflop == matmul_gflop(make_vae())["encoder"] > 0
    assert [row["matmul_gflop"] for row in report["results"][0]["rows"]] == [gflop, pytest.approx(3 * gflop)]


def again(exported, monkeypatch, written, report, slower, *flags):
    """Run the command with its measuring replaced by the earlier figures, slower by a factor."""
    results = [Result.from_dict(result) for result in json.loads(json.dumps(report["results"]))]
    for row in results[0].rows:
        row.device["p50_ms"] *= slower
    monkeypatch.setattr(jobs, "measure", lambda cases: (results, []))
    return ear_teacher.main(["bench", str(exported), "--against", str(written / "now.json"), *flags])


def test_against_an_earlier_file_the_status_tells(exported, monkeypatch, written, report, capsys):
    assert again(exported, monkeypatch, written, report, 1.05) == 0
    assert again(exported, monkeypatch, written, report, 1.3) == 1
    assert "2 of 8 figures are worse by more than 10%" in capsys.readouterr().out
    assert again(exported, monkeypatch, written, report, 1.3, "--margin", "0.5") == 0


def test_a_plot_as_png_is_a_picture(exported, monkeypatch, written, report):
    assert again(exported, monkeypatch, written, report, 1.0, "--plot", str(written / "p.png")) == 0
    with Image.open(written / "p.png") as picture:
        assert picture.width > 400


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--plot", "figures.svg"], "--plot figures.svg: give a name that ends in .png or .html"),
        (["--json", "nowhere/now.json"], "there is no folder nowhere"),
        (["--against", "none.json"], "--against none.json: cannot be read"),
        (["--seconds", "0"], "--seconds must be above 0"),
        (["--pictures", "nowhere"], "--pictures nowhere: give a folder"),
        (["--runtime", "abacus", "--seconds", "0.01"], "nothing could be measured: abacus fp32: not measured: unknown"),
        (["--precision", "fp8"], "the bundle has no encoder at precision 'fp8'"),
    ],
)
def test_mistakes_are_one_line_and_status_2(exported, capsys, flags, said):
    assert ear_teacher.main(["bench", str(exported), "--batches", "1", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_file_that_is_no_report_is_refused(exported, tmp_path, capsys):
    (tmp_path / "x.json").write_text("[]")
    assert ear_teacher.main(["bench", str(exported), "--against", str(tmp_path / "x.json")]) == 2
    assert "that `ear-teacher bench --json` wrote" in capsys.readouterr().err


def test_a_job_that_takes_too_long_is_a_note(exported, monkeypatch):
    def hang(*arguments, timeout, **options):
        raise subprocess.TimeoutExpired("bench_worker", timeout)

    monkeypatch.setattr(jobs.subprocess, "run", hang)
    job = Job(str(exported), "onnxruntime-cpu", "fp32", (1,), 1, 0.1)
    with pytest.raises(jobs.OptionError, match="took more than 5 s"):
        jobs.measure([job], timeout_s=5)


def test_the_peak_is_that_of_a_large_product():
    peak = measure_peak("onnxruntime-cpu", "fp32", 1)
    assert peak is not None
    assert 1 < peak.gflops < 10_000
    assert measure_peak("onnxruntime-cuda", "fp16") is None or this_machine().gpu


def test_the_fingerprint_changes_with_the_machine():
    one = Hardware("cpu", 2, ("avx2",), 24, None, "Linux x86_64")
    assert one.fingerprint() == replace(one).fingerprint() != replace(one, cores=4).fingerprint()
