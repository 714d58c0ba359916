"""Runs that end early and go on: exactly, in the same logs, moved, made longer; and what is refused."""

import csv
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.training.conftest import logged, micro_config
from tests.training.shapes import MICRO
from training.checkpoint import read_checkpoint, read_raw
from training.errors import ConfigError, DataError
from training.fit.module import EarModule
from training.fit.trainer import fit


@pytest.fixture(scope="module")
def straight(ears, tmp_path_factory):
    """A run of four epochs without a pause."""
    config = replace(micro_config(ears, tmp_path_factory.mktemp("straight") / "run"), epochs=4)
    fit(config)
    return config


def test_interrupted_run_continues_exactly(straight, tmp_path):
    """Four epochs at once, and two and two: the same weights, optimiser and validation loss, to the last bit."""
    halves = replace(straight, out=tmp_path / "halves", stop_after_epochs=2)
    fit(halves)
    assert read_raw(halves.out / "checkpoints" / "last.ckpt")["epoch"] == 1
    fit(replace(halves, stop_after_epochs=None, resume=halves.out / "checkpoints" / "last.ckpt"))
    whole, resumed = (read_raw(run.out / "checkpoints" / "last.ckpt") for run in (straight, halves))
    assert whole["epoch"] == resumed["epoch"] == 3
    assert whole["global_step"] == resumed["global_step"] == 12
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, resumed["state_dict"][name]), name
    for first, second in zip(whole["optimizer_states"], resumed["optimizer_states"], strict=True):
        torch.testing.assert_close(first["state"], second["state"], atol=0, rtol=0)
    best = [sorted(p.name for p in (run.out / "checkpoints").iterdir()) for run in (straight, halves)]
    assert best[0] == best[1]


def test_run_with_muon_and_averaged_weights_resumes(micro_run):
    run = replace(micro_run, optimizer="muon", ema_decay=0.9, stop_after_epochs=1)
    fit(run)
    last = run.out / "checkpoints" / "last.ckpt"
    fit(replace(run, stop_after_epochs=None, resume=last))
    assert read_raw(last)["global_step"] == 6


def test_interrupt_says_how_to_go_on(micro_run, monkeypatch):
    from training.fit.module import EarModule

    step = EarModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(EarModule, "training_step", interrupted)
    with logged() as lines, pytest.raises(KeyboardInterrupt):
        fit(micro_run)
    assert any("interrupted in epoch 2: continue with --resume" in line for line in lines)
    assert read_raw(micro_run.out / "checkpoints" / "last.ckpt")["epoch"] == 0


def test_resumed_run_goes_on_in_the_same_logs(micro_run):
    """One metrics.csv with every step once, one TensorBoard version, and a line that says where it began."""
    config = replace(micro_run, stop_after_epochs=1)
    fit(config)
    with logged() as lines:
        fit(replace(config, stop_after_epochs=None, resume=config.out / "checkpoints" / "last.ckpt"))
    assert "resumed at epoch 2, step 3" in lines
    assert [path.name for path in (config.out / "logs" / "csv").iterdir()] == ["version_0"]
    assert [path.name for path in (config.out / "logs" / "tensorboard").iterdir()] == ["version_0"]
    with (config.out / "logs" / "csv" / "version_0" / "metrics.csv").open() as stream:
        validated = [row["epoch"] for row in csv.DictReader(stream) if row["val_loss"]]
    assert validated == ["0", "1"]


def test_run_that_ended_may_be_made_longer(micro_run):
    fit(replace(micro_run, epochs=1))
    last = micro_run.out / "checkpoints" / "last.ckpt"
    with logged() as lines:
        fit(replace(micro_run, epochs=1, resume=last))
    assert any("give more --epochs to train on" in line for line in lines)
    fit(replace(micro_run, epochs=3, resume=last))
    content = read_raw(last)
    assert content["epoch"] == 2
    assert content["progress"] == pytest.approx(8 / 9)


def test_other_pictures_are_refused_on_resume(micro_run, ears, tmp_path):
    fit(replace(micro_run, epochs=1))
    other = shutil.copytree(ears, tmp_path / "other")
    Image.new("RGB", (40, 48)).save(other / "s0_0.png")
    resume = micro_run.out / "checkpoints" / "last.ckpt"
    with pytest.raises(ConfigError, match=r"not those that the run was trained on \(data_sha256 .*--init-from"):
        fit(replace(micro_run, data=other, resume=resume))


def test_run_may_be_moved_and_lack_the_weights_it_started_from(micro_run, tmp_path):
    from transformers import SamVisionModel

    from training.command_train import config_from
    from training.networks.sam import vision_config

    SamVisionModel(vision_config(MICRO.sam)).save_pretrained(tmp_path / "sam")
    config = replace(micro_run, sam_weights=str(tmp_path / "sam"), stop_after_epochs=1)
    fit(config)
    shutil.rmtree(tmp_path / "sam")
    moved = tmp_path / "elsewhere" / "run"
    moved.parent.mkdir()
    config.out.rename(moved)
    resumed = config_from({"resume": moved / "checkpoints" / "last.ckpt"})
    assert resumed.out == moved
    assert fit(resumed) == moved / "model.ckpt"
    assert not config.out.exists()
    assert len([path for path in (moved / "checkpoints").iterdir() if path.name != "last.ckpt"]) == 2
    assert read_checkpoint(moved / "model.ckpt").provenance["sam"]["contents"] == "untrained"


def test_relative_data_is_found_again_from_another_folder(micro_run, ears, tmp_path, monkeypatch):
    from training.command_train import config_from

    monkeypatch.chdir(ears.parent)
    fit(replace(micro_run, data=Path(ears.name), stop_after_epochs=1))
    monkeypatch.chdir(tmp_path)
    fit(config_from({"resume": micro_run.out / "checkpoints" / "last.ckpt"}))
    assert read_raw(micro_run.out / "checkpoints" / "last.ckpt")["epoch"] == 1


def test_data_that_is_gone_is_named_before_anything_is_built(micro_run, tmp_path):
    with pytest.raises(DataError, match=r"--data .*absent: no such file or folder$"):
        fit(replace(micro_run, data=tmp_path / "absent"))
    with pytest.raises(DataError, match="give --data where it is now"):
        fit(replace(micro_run, data=tmp_path / "absent", resume=tmp_path / "last.ckpt"))


def test_sigterm_says_how_to_go_on(micro_run, monkeypatch):
    step = EarModule.training_step

    def terminated(self, batch, batch_idx):
        if self.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(EarModule, "training_step", terminated)
    with logged() as lines, pytest.raises(SystemExit) as ended:
        fit(micro_run)
    assert ended.value.code == 143
    assert any("ended by SIGTERM in epoch 2: continue with --resume" in line for line in lines)
