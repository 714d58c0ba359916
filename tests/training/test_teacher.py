"""The full-size teacher on a CPU: one step of training, and its export, by the commands a user types.

At 448 of SAM's 1024 px: every weight is there, and a step takes a fraction of the time.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from bundle.manifest import read_manifest

ROOT = Path(__file__).parents[2]


def ear_teacher(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "ear_teacher.py", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_teacher_trains_a_step_and_is_exported(tmp_path):
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    told = ear_teacher(
        *("train", "--preset", "teacher", "--sam-size", "448", "--fast-dev-run", "--batch-size", "1", "--random-init"),
        *("--perceptual-weight", "0", "--data", "demo/ears", "--out", str(run), "--num-workers", "0"),
    )
    assert "M parameters" in told
    told = ear_teacher(
        *("export", str(run / "model.ckpt"), "--out", str(bundle), "--crops", "demo/ears"),
        *("--parity-crops", "3", "--max-batch", "3", "--precision", "fp32"),
    )
    manifest = read_manifest(bundle)
    assert manifest.preset == "teacher"
    assert manifest.sam_size_px == 448
