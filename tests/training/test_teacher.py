"""The default recipe on a CPU, each step in a fresh process, as a user types it: pretrained SAM -> run -> service.

A full-size SAM at 224 of its 1024 px: every weight is there, and a step takes a fraction of the time.
"""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch
from transformers import SamVisionConfig, SamVisionModel

from bundle.manifest import read_manifest
from tests.training.few_ears import few_ears
from training.checkpoint import read_checkpoint, read_raw

ROOT = Path(__file__).parents[2]


def ear_teacher(*arguments: object) -> str:
    command = [sys.executable, "ear_teacher.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_pretrained_teacher_goes_from_weights_to_a_ready_service(tmp_path):
    """Two steps with six layers frozen, a resume, an evaluation, an export and a service that answers."""
    torch.manual_seed(0)
    SamVisionModel(SamVisionConfig(initializer_range=0.02)).save_pretrained(tmp_path / "sam")
    data, run, bundle = few_ears(tmp_path, {"train": 2, "val": 2}, pictures=4), tmp_path / "run", tmp_path / "bundle"
    shown = ear_teacher(
        *("train", "--preset", "teacher", "--sam-weights", tmp_path / "sam", "--sam-size", 224, "--data", data),
        *("--out", run, "--batch-size", 8, "--per-identity", 2, "--views", 1, "--epochs", 2, "--stop-after-epochs", 1),
        *("--perceptual-weight", 0, "--num-workers", 0),
    )
    assert "NOT PRETRAINED" in shown  # it was saved as it was initialised, and the run says so
    assert "1.4 GB a checkpoint" in shown
    shutil.rmtree(tmp_path / "sam")
    assert "resumed at epoch 2, step 1" in ear_teacher("train", "--resume", run / "checkpoints" / "last.ckpt")
    assert read_raw(run / "checkpoints" / "last.ckpt")["global_step"] == 2
    assert read_checkpoint(run / "model.ckpt").config.freeze_layers == 6
    shutil.rmtree(run / "checkpoints")  # several gigabytes
    ear_teacher("evaluate", run / "model.ckpt", "--data", data, "--out", tmp_path / "report", "--no-baselines")
    assert (tmp_path / "report" / "results.json").is_file()
    ear_teacher(
        *("export", run / "model.ckpt", "--out", bundle, "--crops", data),
        *("--parity-crops", 3, "--max-batch", 3, "--precision", "fp32"),
    )
    assert (read_manifest(bundle).preset, read_manifest(bundle).sam_size_px) == ("teacher", 224)
    assert ready(bundle)


def ready(bundle: Path) -> bool:
    """Whether a service of this bundle reproduces its golden outputs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "ear_teacher.py", "serve", "--bundle", str(bundle), "--port", str(port)]
    service = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            time.sleep(1)
            assert service.poll() is None
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                    return True
            except httpx.TransportError:
                continue
        return False
    finally:
        service.terminate()
        service.wait(60)
