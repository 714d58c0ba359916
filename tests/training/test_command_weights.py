"""`ear-teacher weights`, without a network."""

import hashlib

import pytest
import torch
from transformers import SamVisionModel

import ear_teacher
from tests.training.losses.test_perceptual import published_state
from tests.training.shapes import MICRO
from training.networks.sam import vision_config


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A machine with neither weights nor internet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


def test_missing_weights_are_told_with_what_to_do(alone, capsys):
    assert ear_teacher.main(["weights", "verify", "--only", "vgg16"]) == 1
    error = capsys.readouterr().err
    assert "vgg16: NOT USABLE" in error
    assert "ear-teacher weights fetch" in error


def test_missing_sam_is_told_with_what_to_do(alone, capsys):
    assert ear_teacher.main(["weights", "verify", "--only", "sam", "--sam-weights", "nobody/no-such-model"]) == 1
    assert "--sam-weights FOLDER" in capsys.readouterr().err


def test_vgg_is_fetched_checked_and_then_found(alone, monkeypatch, capsys):
    source = alone / "published.pth"
    torch.save(published_state(), source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    monkeypatch.setattr("training.weights.VGG_URL", source.as_uri())
    monkeypatch.setattr("training.weights.VGG_SHA256", digest)
    assert ear_teacher.main(["weights", "fetch", "--only", "vgg16"]) == 0
    assert "vgg16: ok" in capsys.readouterr().out
    assert (alone / ".cache" / "ear-teacher" / "weights" / "vgg16-397923af.pth").is_file()
    assert ear_teacher.main(["weights", "verify", "--only", "vgg16"]) == 0


def test_vgg_of_another_hash_is_not_called_ok(alone, capsys):
    torch.save(published_state(), alone / "vgg.pth")
    assert ear_teacher.main(["weights", "verify", "--only", "vgg16", "--vgg-weights", str(alone / "vgg.pth")]) == 0
    shown = capsys.readouterr().out
    assert "contents not checked" in shown
    assert "ok" not in shown


def test_random_sam_is_refused(alone, monkeypatch, capsys):
    monkeypatch.setattr("training.model_config.SamShape", lambda: MICRO.sam)
    SamVisionModel(vision_config(MICRO.sam)).save_pretrained(alone / "sam")
    assert ear_teacher.main(["weights", "verify", "--only", "sam", "--sam-weights", str(alone / "sam")]) == 1
    assert "NOT PRETRAINED" in capsys.readouterr().err


def test_download_that_fails_is_told(alone, monkeypatch, capsys):
    monkeypatch.setattr("training.weights.VGG_URL", (alone / "absent.pth").as_uri())
    assert ear_teacher.main(["weights", "fetch", "--only", "vgg16"]) == 1
    assert "cannot be fetched" in capsys.readouterr().err
