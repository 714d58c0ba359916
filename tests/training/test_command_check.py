"""`ear-teacher check`: exit status and advice."""

import pytest
import torch

import ear_teacher
from tests.training.shapes import MICRO
from training.fit import selftest
from training.fit.selftest import SelfTestFailed
from training.networks.encoder import EarEncoder
from training.presets import PRESETS


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The tiny preset, tinier, on a machine without weights."""
    monkeypatch.setitem(PRESETS, "tiny", MICRO)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def test_machine_without_weights_is_not_ready_and_says_what_to_do(small, capsys):
    assert ear_teacher.main(["check", "--preset", "tiny"]) == 1
    said = capsys.readouterr().out
    assert f"version  {'torch':18s}{torch.__version__}" in said
    assert "device   CPU" in said
    assert "VGG16             MISSING" in said
    assert "ear-teacher weights fetch" in said
    for test in ("encoder", "VAE", "Lightning module"):
        assert f"test     {test:18s}ok" in said
    assert "not ready: 0 failed, 1 weights missing" in said


def test_machine_that_will_do_without_weights_is_ready(small, capsys):
    assert ear_teacher.main(["check", "--preset", "tiny", "--without-weights"]) == 0
    assert "ready to train" in capsys.readouterr().out


def test_failing_self_test_fails_the_check(small, monkeypatch, capsys):
    def broken(_):
        raise SelfTestFailed("two different pictures give one latent")

    monkeypatch.setitem(selftest.SELF_TESTS, "encoder", broken)
    assert ear_teacher.main(["check", "--preset", "tiny", "--without-weights"]) == 1
    said = capsys.readouterr().out
    assert "encoder           FAILED. SelfTestFailed: two different pictures give one latent" in said


def test_encoder_that_ignores_its_input_is_found_out(monkeypatch):
    forward = EarEncoder.forward

    def constant(self, images):
        mu, logvar = forward(self, images)
        return mu * 0 + 1, logvar

    monkeypatch.setattr("training.networks.encoder.EarEncoder.forward", constant)
    with pytest.raises(SelfTestFailed, match="one latent"):
        selftest.check_encoder(MICRO)
