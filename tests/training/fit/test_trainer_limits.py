"""What a run says of devices, disk and terminals, and where it may start from."""

from dataclasses import replace

import pytest
import torch

from tests.training.conftest import logged
from training.errors import ConfigError
from training.fit.trainer import fit


def test_gpu_that_is_not_there_is_said_in_one_sentence(micro_run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"--accelerator gpu: .*give --accelerator cpu"):
        fit(replace(micro_run, accelerator="gpu"))


def test_disk_is_announced_and_refused_where_it_is_too_small(micro_run, monkeypatch):
    from training.fit import summary

    with logged() as lines:
        fit(replace(micro_run, fast_dev_run=True))
    assert any(line.startswith("disk: ") and "GB a checkpoint" in line for line in lines)
    monkeypatch.setattr(summary, "_free_bytes", lambda _: 1000)
    with pytest.raises(ConfigError, match=r"the run's checkpoints take up to .* are free there"):
        fit(replace(micro_run, out=micro_run.out / "other"))


def test_terminal_gets_a_bar_and_no_lines_within_an_epoch(micro_run, monkeypatch, capsys):
    monkeypatch.setattr("training.fit.progress.on_terminal", lambda: True)
    with logged() as lines:
        fit(replace(micro_run, epochs=1))
    assert not [line for line in lines if "step 1/" in line]
    assert "3/3" in capsys.readouterr().out
