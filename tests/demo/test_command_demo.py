"""The demo runs the whole chain, says how good the result is, and goes on where it was interrupted."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def demo(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "ear_teacher.py", "demo", "--no-serve", *flags], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which a demo trained, and what it said."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo("--train", "--minutes", "0.2", "--out", str(folder))


@pytest.mark.slow
def test_the_whole_chain_runs_and_a_second_run_takes_what_is_there(done):
    folder, first = done
    assert first.returncode == 0, first.stdout + first.stderr
    assert "rank-1" in first.stdout
    assert "HOG" in first.stdout
    assert "The gallery holds 80 ears of 40 people" in first.stdout
    assert (folder / "bundle" / "manifest.json").is_file()

    second = demo("--train", "--minutes", "0.2", "--out", str(folder))
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Found the model of an earlier demo" in second.stdout
    assert "The gallery holds 80 ears of 40 people" in second.stdout


@pytest.mark.soak
def test_an_interrupted_export_does_not_cost_the_training_again(done):
    folder, first = done
    assert first.returncode == 0, first.stdout + first.stderr
    (folder / "bundle" / "manifest.json").unlink()  # as if killed before the manifest, which is written last
    again = demo("--train", "--minutes", "0.2", "--out", str(folder))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "epoch 1" not in again.stdout
