"""A student learns from a teacher, and the verb tells what it kept."""

import json
from dataclasses import replace

import pytest
import torch

import ear_teacher
from tests.training.shapes import MICRO
from training.checkpoint import Checkpoint, write_checkpoint
from training.distill import compare, distill, imitation_terms, table
from training.errors import ConfigError
from training.networks.vae import EarVAE
from training.presets import PRESETS


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    torch.manual_seed(5)
    model = EarVAE(MICRO)
    with torch.no_grad():
        model.identity.weight.copy_(torch.randn(24, 24))
    path = tmp_path_factory.mktemp("teacher") / "model.ckpt"
    write_checkpoint(path, Checkpoint(MICRO, model.state_dict()))
    return path


def test_a_student_that_says_the_same_has_nothing_to_learn():
    torch.manual_seed(0)
    mu = torch.randn(6, 8)
    embedding = torch.nn.functional.normalize(mu, dim=1)
    assert all(float(value) < 1e-6 for value in imitation_terms(mu, embedding, mu, embedding).values())


def test_the_error_of_mu_is_a_share_of_the_teachers_variance():
    torch.manual_seed(0)
    mu, unit = torch.randn(64, 8), torch.nn.functional.normalize(torch.randn(64, 8), dim=1)
    small = imitation_terms(mu + 0.1, unit, mu, unit)["imitate_mu"]
    scaled = imitation_terms(10 * mu + 1, unit, 10 * mu, unit)["imitate_mu"]
    assert float(small) == pytest.approx(float(scaled), rel=1e-4)


def test_a_run_makes_a_student_that_is_a_model_like_any_other(teacher_file, micro_run):
    said: list[str] = []
    config = replace(micro_run, losses=replace(micro_run.losses, contrastive=0.0), epochs=1)
    path = distill(teacher_file, config, 1.0, said.append)
    student, teacher = EarVAE.load_from_checkpoint(path), EarVAE.load_from_checkpoint(teacher_file)
    torch.testing.assert_close(student.identity.weight, teacher.identity.weight)
    report = json.loads((config.out / "distillation.json").read_text())
    assert set(report["student"]) == {"rank1", "eer", "parameters_m", "pictures_per_s"}
    assert report["val_pictures"] == 12
    assert said[-1] == table(report)
    names = torch.load(config.out / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in name for name in names)


def test_a_teacher_compared_with_itself_keeps_everything(teacher_file, micro_run):
    teacher = EarVAE.load_from_checkpoint(teacher_file)
    report = compare(teacher, EarVAE.load_from_checkpoint(teacher_file), micro_run)
    assert report["cosine"] == pytest.approx(1, abs=1e-5)
    assert report["student"]["rank1"] == report["teacher"]["rank1"]


def test_a_student_with_another_latent_is_refused(teacher_file, micro_run):
    with pytest.raises(ConfigError, match="--latent-dim 16: the teacher has 24"):
        distill(teacher_file, replace(micro_run, model=replace(MICRO, latent_dim=16)))


def test_the_verb_takes_sizes_from_the_teacher(teacher_file, ears, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "student", replace(MICRO, preset="student", latent_dim=1024))
    flags = ["--data", str(ears), "--out", str(tmp_path / "run"), "--fast-dev-run", "--num-workers", "0"]
    flags += ["--precision", "32", "--accelerator", "cpu", "--batch-size", "4"]
    assert ear_teacher.main(["distill", str(teacher_file), *flags]) == 0
    assert EarVAE.load_from_checkpoint(tmp_path / "run" / "model.ckpt").config.latent_dim == 24


def test_a_weight_of_nothing_is_no_distillation(teacher_file, capsys):
    assert ear_teacher.main(["distill", str(teacher_file), "--data", "x", "--imitate-weight", "0"]) == 2
    assert "--imitate-weight 0" in capsys.readouterr().err
