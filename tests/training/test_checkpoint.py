"""Checkpoints: JSON inside, nothing executed."""

import json
import os

import pytest
import torch

from tests.training.shapes import MICRO
from training.checkpoint import HEADER_KEY, Checkpoint, read_checkpoint, write_checkpoint
from training.errors import CheckpointError


class _Malice:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_header_travels_with_the_tensors(tmp_path):
    tensors = {"a.weight": torch.arange(3.0)}
    write_checkpoint(tmp_path / "m.ckpt", Checkpoint(MICRO, tensors, {"seed": 7}, {"val_psnr": 21.5}))
    found = read_checkpoint(tmp_path / "m.ckpt")
    assert found.config == MICRO
    assert found.provenance == {"seed": 7}
    assert found.metrics == {"val_psnr": 21.5}
    torch.testing.assert_close(found.state_dict, tensors)


def test_trainer_tensors_are_left_out(tmp_path):
    write_checkpoint(tmp_path / "m.ckpt", Checkpoint(MICRO, {"a": torch.ones(1)}))
    content = torch.load(tmp_path / "m.ckpt", weights_only=True)
    content["state_dict"]["perceptual.features.0.weight"] = torch.ones(1)
    torch.save(content, tmp_path / "m.ckpt")
    assert set(read_checkpoint(tmp_path / "m.ckpt").state_dict) == {"a"}


def test_configuration_is_json_text_in_the_file(tmp_path):
    write_checkpoint(tmp_path / "m.ckpt", Checkpoint(MICRO, {}))
    content = torch.load(tmp_path / "m.ckpt", weights_only=True)
    assert json.loads(content[HEADER_KEY])["config"]["latent_dim"] == 24


def test_checkpoint_that_would_execute_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "payload": _Malice()}, "m.ckpt")
    with pytest.raises(CheckpointError, match=r"m\.ckpt: cannot be read"):
        read_checkpoint("m.ckpt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_file_that_is_no_checkpoint_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "m.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"m\.ckpt"):
        read_checkpoint(tmp_path / "m.ckpt")


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "absent.ckpt")


def test_checkpoint_of_another_project_is_refused(tmp_path):
    torch.save({"state_dict": {"x": torch.ones(1)}}, tmp_path / "m.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of ear-teacher"):
        read_checkpoint(tmp_path / "m.ckpt")


def test_failed_write_leaves_the_old_checkpoint(tmp_path):
    target = tmp_path / "m.ckpt"
    write_checkpoint(target, Checkpoint(MICRO, {"a": torch.ones(1)}))
    with pytest.raises(AttributeError):
        write_checkpoint(target, Checkpoint(MICRO, {"a": lambda: None}))  # type: ignore[dict-item]
    torch.testing.assert_close(read_checkpoint(target).state_dict, {"a": torch.ones(1)})
