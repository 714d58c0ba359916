"""Two processes give the figures of one: validation joined over devices, and a run by `--devices 2`."""

import subprocess
import sys
from dataclasses import replace

import lightning
import pytest
import torch

from training.checkpoint import read_raw
from training.data.datamodule import EarDataModule
from training.data.prepare import prepare
from training.fit.module import EarModule
from training.fit.trainer import build_model, ear_trainer
from training.networks.vae import EarVAE

pytestmark = pytest.mark.slow


class _Keep(lightning.Callback):
    """Writes down what the first process saw."""

    def __init__(self, path):
        self._path = path

    def on_validation_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            torch.save(
                {"metrics": metrics, "mu": pl_module.validated.mu, "labels": pl_module.validated.labels}, self._path
            )


def _validate(config, devices, path):
    """11 pictures over 2 processes: one of them sees a repeated picture."""
    config = replace(config, devices=devices, batch_size=4, strategy="ddp_spawn" if devices > 1 else "auto")
    lightning.seed_everything(0, verbose=False)
    module = EarModule(config, build_model(config)[0])
    prepared = prepare(config)
    data = EarDataModule(prepared, 4, 2, 0, 0)
    trainer, _ = ear_trainer(config)
    trainer.callbacks = [_Keep(path)]  # type: ignore[attr-defined]
    trainer.validate(module, data, verbose=False)
    return torch.load(path, weights_only=True)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_validation_of_two_processes_is_that_of_one(micro_run, ears, tmp_path, monkeypatch):
    monkeypatch.setattr("common.flags.problem", lambda *_, **__: None)  # --strategy has no ddp_spawn
    monkeypatch.setattr("training.config.problem", lambda *_, **__: None)
    run = replace(micro_run, val=ears / "val_teacher.npy")
    one, two = (_validate(run, devices, tmp_path / f"{devices}.pt") for devices in (1, 2))
    torch.testing.assert_close(one["mu"], two["mu"], atol=1e-5, rtol=0)
    assert torch.equal(one["labels"], two["labels"])
    assert one["metrics"].keys() == two["metrics"].keys()
    for name, value in one["metrics"].items():
        assert two["metrics"][name] == pytest.approx(value, abs=1e-4), name


def test_run_on_two_processes_from_the_command_line(ears, tmp_path):
    out = tmp_path / "run"
    flags = ["--preset", "tiny", "--image-size", "32", "--sam-size", "32", "--perceptual-weight", "0", "--epochs", "1"]
    machine = ["--devices", "2", "--accelerator", "cpu", "--strategy", "ddp", "--num-workers", "0", "--precision", "32"]
    command = [sys.executable, "-m", "ear_teacher", "train", "--data", str(ears), "--out", str(out), *flags, *machine]
    said = subprocess.run([*command, "--batch-size", "4"], capture_output=True, text=True, timeout=900)
    assert said.returncode == 0, said.stderr[-2000:]
    assert said.stderr.count("M parameters") == 1  # only the first process speaks
    assert "3 steps of 8 pictures" in said.stderr
    assert read_raw(out / "checkpoints" / "last.ckpt")["global_step"] == 3
    EarVAE.load_from_checkpoint(out / "model.ckpt")
