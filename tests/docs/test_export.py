"""docs/export.md: its commands run on the shipped model, its limits are the gate's, its five lines embed an ear."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import ear_teacher
from bundle.command_engine import parser as engine_parser
from bundle.image import decode, frame
from bundle.model import load
from bundle.session import RUNTIMES
from export import command_export
from export.parity.judge import LIMITS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "export.md").read_text()
FENCE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, code in FENCE.findall(PAGE) if kind == "bash" for line in code.splitlines()]


def commands(verb):
    found = [shlex.split(line)[2:] for line in COMMANDS if line.startswith(f"ear-teacher {verb} ")]
    assert found, f"the page shows no {verb}"
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder where the page's paths exist, with the shipped model as the reader's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "bundle").symlink_to(ROOT / "demo" / "bundle")
    shutil.copy(sorted((ROOT / "demo" / "ears" / "crops").rglob("*.jpg"))[0], "ear.jpg")
    return tmp_path


def test_every_verb_of_the_page_is_one():
    shown = set(re.findall(r"`ear-teacher (\w+)", PAGE)) | {shlex.split(line)[1] for line in COMMANDS}
    assert shown <= set(ear_teacher.VERBS)


def test_flags_that_need_training_or_minutes_are_known():
    for arguments in commands("export"):
        assert command_export._parser().parse_args(arguments).crops
    for arguments in commands("engine"):
        assert engine_parser().parse_args(arguments).target == "sm89"


def test_verify_and_triton_run_as_written(here, capsys):
    for verb in ("bundle", "triton"):
        for arguments in commands(verb):
            assert ear_teacher.main([verb, *arguments]) == 0
    assert "the bundle is whole" in capsys.readouterr().out
    assert (here / "models" / "ear-encoder" / "1" / "model.onnx").is_file()
    assert (here / "models" / "ear-decoder" / "config.pbtxt").is_file()


@pytest.mark.slow
def test_bench_runs_as_written_and_finds_itself_no_slower(here):
    first, second = commands("bench")
    assert ear_teacher.main(["bench", *first, "--seconds", "0.05"]) == 0
    assert {"before.json", "before.md", "before.html"} <= {path.name for path in here.iterdir()}
    loose = ["--seconds", "0.05", "--margin", "20"]  # whether it is as fast is no matter of a test
    assert ear_teacher.main(["bench", *second, *loose]) == 0


def test_the_limits_of_the_page_are_the_gates():
    (rows,) = re.findall(r"^\| figure \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    for name, field, scale in (
        ("cosine min", "cosine_min", 1),
        ("error / distance", "relative_error_max", 100),
        ("logvar error", "logvar_error_max", 1),
        ("same neighbours", "neighbour_overlap_min", 1),
        ("rank-1 change", "rank1_change_max", 1),
        ("EER change", "eer_change_max", 1),
        ("PSNR min", "psnr_min_db", 1),
    ):
        (row,) = [line for line in rows.splitlines() if line.startswith(f"| {name} ")]
        told = [float(re.findall(r"[\d.]+", cell)[0]) for cell in row.split("|")[3:5] if re.search(r"[≤≥]", cell)]
        expected = [getattr(LIMITS[precision], field) * scale for precision in ("fp32", "fp16")]
        assert told == pytest.approx(expected), name


def test_every_runtime_is_told():
    assert all(f"| `{runtime}` |" in PAGE for runtime in RUNTIMES)


def test_the_five_lines_give_what_the_project_gives(here):
    (code,) = [code for kind, code in FENCE.findall(PAGE) if kind == "python"]
    names: dict = {}
    exec(compile(code, "docs/export.md", "exec"), names)
    crop = names["crop"]
    assert crop.shape == (128, 128, 3)
    with load("runs/mine/bundle", "onnxruntime-cpu") as model:
        expected = model.encode(crop[None]).embedding
        framed = model.encode(frame(decode(Path("ear.jpg").read_bytes()), None)[None]).embedding
    np.testing.assert_allclose(names["embedding"], expected, atol=1e-4)
    assert (framed @ names["embedding"].T).item() > 0.9  # the demo's crops are square
