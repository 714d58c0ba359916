"""`make gpu-check`: without a GPU every part says why it was skipped; a lost part costs no other part anything."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from bench import gpu_check
from bench.gpu_check import markdown, measure, run_part
from bench.gpu_feed import DEMO, runs_per_s, standard_encoder
from bench.gpu_parts import PARTS, Part
from bench.gpu_torch import write_pictures
from bundle.errors import RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.session_onnx import OnnxSession
from bundle.tensorrt.cuda import gpu_present
from tests.bench.test_gpu_pack import ROOT, bare_tree


def part(*rows, error=None, limit_s=60):
    def act():
        yield from rows
        if error:
            raise error

    return Part(act, limit_s)


def printing(code, limit_s=60):
    """The outcome of a part whose process runs `code`."""
    return run_part("a part", part(limit_s=limit_s), [sys.executable, "-c", code])


@pytest.mark.skipif(gpu_present(), reason="on a GPU it would measure for minutes")
def test_without_a_gpu_every_part_that_needs_one_says_in_one_sentence_why_it_was_skipped(capsys, tmp_path):
    assert gpu_check.main(["--markdown", str(tmp_path / "gpu.md")]) == 0
    table = (tmp_path / "gpu.md").read_text()
    assert table in capsys.readouterr().out
    for name in PARTS.keys() - {"decoding"}:
        (line,) = [line for line in table.splitlines() if line.startswith(f"| **{name}** |")]
        assert "skipped: " in line
        assert "GPU" in line or "installed" in line
    assert "| **decoding** | passed |" in table
    assert "pictures/s" in table
    assert table.startswith("no GPU; ")


def test_a_part_writes_its_figures_and_then_its_verdict(capsys):
    measure(part(("cosine", "1.0"), error=AssertionError("cosine is\n0.2")))
    measure(part(error=RuntimeUnavailable("not installed")))
    measure(part(("speed", "2 ms")))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"what": "cosine", "figure": "1.0"},
        {"verdict": "FAILED: AssertionError: cosine is 0.2"},
        {"verdict": "skipped: not installed"},
        {"what": "speed", "figure": "2 ms"},
        {"verdict": "passed"},
    ]


def test_a_part_that_dies_keeps_what_it_measured():
    figure = '{"what": "cosine", "figure": "1.0"}'
    died = printing(f"import os\nprint('{figure}', flush=True)\nos.abort()")
    assert died.failed
    assert died.rows == [("cosine", "1.0")]
    assert "ended with status -6" in died.verdict


def test_a_part_that_hangs_ends_with_its_time_limit():
    hung = printing('import time\nprint(\'{"what": "a", "figure": "b"}\', flush=True)\ntime.sleep(60)', limit_s=2)
    assert hung.rows == [("a", "b")]
    assert "limit of 2 s" in hung.verdict
    assert "| **a part** | FAILED: not done after its limit of 2 s |" in markdown([hung])


def test_parts_are_chosen_by_name(capsys):
    with pytest.raises(SystemExit):
        gpu_check.main(["latencies"])
    assert "no part 'latencies'; there are: tests marked gpu, " in capsys.readouterr().err


def test_the_training_part_brings_its_own_pictures(tmp_path):
    table = write_pictures(tmp_path)
    assert len(table.read_text().splitlines()) == 257
    assert (tmp_path / "255.png").is_file()


@pytest.mark.skipif(gpu_present(), reason="on a GPU it would measure for minutes")
def test_it_runs_from_a_tree_without_demo_ears_makefile_and_tests(tmp_path):
    tree = bare_tree(tmp_path, left_out=("docs", "demo/ears", "tests", "Makefile"))
    command = [sys.executable, "-m", "bench.gpu_check", "CUDA parity"]
    done = subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(tree)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| **CUDA parity** | skipped: no " in done.stdout


def test_the_shipped_encoder_in_standard_operators_gives_the_same(tmp_path):
    plain = OnnxSession(standard_encoder(tmp_path), threads=1)
    shipped = OnnxSession(DEMO / "encoder.onnx", threads=1)
    expected = shipped.run({"image": golden_crops()})
    for name, values in plain.run({"image": golden_crops()}).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4)
    domains = {node.domain for node in onnx.load(tmp_path / "encoder.onnx").graph.node}
    assert domains <= {"", "ai.onnx"}


def test_runs_of_several_callers_are_counted_together():
    seen = set()
    assert runs_per_s(lambda: (seen.add(threading.get_ident()), time.sleep(0.01)), 2) > 0
    assert len(seen) == 3  # the first run is the caller's own


def test_make_runs_it():
    assert "-m bench.gpu_check" in (ROOT / "Makefile").read_text()
    assert Path(gpu_check.__file__).is_relative_to(ROOT)
