"""Runs of the detector as a user starts them, and that both stages learn."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

import ear_teacher
from tests.training.conftest import logged
from tests.training.detector.shapes import TINY
from tests.training.detector.test_data import boxes_only, rewritten
from training import EarDetector
from training.command_detector import parser
from training.detector.checkpoint import read_detector
from training.detector.config import DetectorRun
from training.detector.losses import coarse_terms, fine_terms
from training.detector.module import DetectorModule
from training.detector.sources import load_sources
from training.detector.steps import Steps
from training.detector.trainer import fit_detector
from training.errors import ConfigError


def micro_run(photos, out, **more):
    values = {"data": (photos,), "out": out, "epochs": 2, "crops_per_step": 4, "scenes": 2, "precision": "32"}
    return DetectorRun(**{**values, "accelerator": "cpu", **more})


def test_a_run_leaves_a_detector_and_its_metrics(photos, tmp_path):
    with logged() as lines:
        path = fit_detector(micro_run(photos, tmp_path / "run"), shape=TINY)
    checkpoint = read_detector(path)
    assert checkpoint.landmark_names == ("top", "middle", "bottom")
    assert checkpoint.provenance["train_pictures"] == 12
    assert checkpoint.provenance["steps"] == 6
    assert set(checkpoint.metrics) == {"val_nme", "val_iou"}
    assert "/" not in json.dumps(checkpoint.provenance["flags"])
    header = (tmp_path / "run" / "logs" / "csv" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert {"train_loss_epoch", "train_landmark_epoch", "val_nme"} <= set(header.split(","))
    assert any("12 training pictures of 6 subjects" in line for line in lines)
    EarDetector.load_from_checkpoint(path)


def test_a_run_counts_its_pictures_without_ears(photos, tmp_path):
    (tmp_path / "nothing").mkdir()
    for number in range(8):
        Image.new("RGB", (64, 48), (200, number, 200)).save(tmp_path / "nothing" / f"n{number}.png")
    with logged() as lines:
        path = fit_detector(
            micro_run(photos, tmp_path / "run", negatives=(tmp_path / "nothing",), epochs=1), shape=TINY
        )
    assert read_detector(path).provenance["train_negatives"] == 4  # and 4 held out
    assert any("4 training pictures without ears" in line for line in lines)


def test_a_run_does_not_overwrite_a_detector(photos, tmp_path):
    (tmp_path / "detector.ckpt").touch()
    with pytest.raises(ConfigError, match="holds a detector already"):
        fit_detector(micro_run(photos, tmp_path), shape=TINY)


def test_a_resumed_run_ends_as_one_that_was_never_interrupted(photos, tmp_path, monkeypatch):
    straight = read_detector(fit_detector(micro_run(photos, tmp_path / "straight"), shape=TINY))
    run = micro_run(photos, tmp_path / "run")

    def interrupt(module):
        if module.current_epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(DetectorModule, "on_train_epoch_start", interrupt)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit_detector(run, shape=TINY)
    monkeypatch.undo()
    resumed = read_detector(fit_detector(replace(run, resume=run.out / "checkpoints" / "last.ckpt"), shape=TINY))
    assert resumed.provenance["steps"] == straight.provenance["steps"]
    for name, tensor in straight.state_dict.items():
        assert torch.equal(tensor, resumed.state_dict[name]), name


def test_a_resumed_run_must_be_given_the_same_flags(photos, tmp_path):
    run = micro_run(photos, tmp_path / "run", epochs=1)
    fit_detector(run, shape=TINY)
    (run.out / "detector.ckpt").unlink()
    last = run.out / "checkpoints" / "last.ckpt"
    with pytest.raises(ConfigError, match="--resume with other --lr, --seed"):
        fit_detector(replace(run, resume=last, seed=4, lr=0.1), shape=TINY)


def test_a_run_ends_when_its_time_is_over(photos, tmp_path):
    path = fit_detector(micro_run(photos, tmp_path / "run", epochs=500, max_minutes=0.005), shape=TINY)
    assert read_detector(path).provenance["steps"] < 1500


def test_both_looks_learn(photos, tmp_path):
    """The loss of one fixed step falls by a fifth within a few steps: gradients reach everything that is judged."""
    torch.manual_seed(0)
    run = micro_run(photos, tmp_path, crops_per_step=8)
    detector = EarDetector(TINY).train()
    batch = Steps(load_sources([photos]).train, TINY, run)[0]
    module = DetectorModule(run, detector)
    optimizer = module.configure_optimizers()
    from training.data.dataset import to_unit

    losses = []
    for _ in range(15):
        coarse, fine = detector.coarse_stage(to_unit(batch.scenes)), detector.fine_stage(to_unit(batch.crops))
        terms = coarse_terms(coarse, batch.boxes, batch.right, batch.present)
        terms |= fine_terms(fine, batch.points, batch.weights, batch.visible, batch.labels)
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert not [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None]


def test_the_verb_trains_and_evaluates(photos, teacher, tmp_path, capsys):
    flags = ["--teacher", str(teacher), "--out", str(tmp_path / "run"), "--epochs", "1", "--crops-per-step", "4"]
    flags += ["--scenes", "1", "--precision", "32", "--accelerator", "cpu"]
    assert ear_teacher.main(["detector", "train", "--data", str(photos), *flags]) == 0
    evaluate = [str(tmp_path / "run" / "detector.ckpt"), "--data", str(photos), "--out", str(tmp_path / "report")]
    assert ear_teacher.main(["detector", "evaluate", *evaluate]) == 0
    report = json.loads((tmp_path / "report" / "detector.json").read_text())
    remembered = read_detector(tmp_path / "run" / "detector.ckpt").metrics
    assert remembered["threshold"] == report["threshold"]
    assert set(remembered["evaluation"]) == set(report["sets"])
    assert "| metadata.csv |" in capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "detector.json").read_text())
    assert report["sets"]["metadata.csv"]["ears"] == 4
    assert (tmp_path / "report" / "ced.png").stat().st_size > 1000


def test_a_missing_start_is_refused(photos, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["train", "--data", str(photos)])
    assert "--teacher --random-init" in capsys.readouterr().err


def test_freezing_random_layers_is_refused(photos, tmp_path):
    with pytest.raises(ConfigError, match="--freeze-encoder"):
        micro_run(photos, tmp_path, freeze_encoder=True)


def test_a_run_of_so_many_steps_takes_them_whatever_the_labels(photos, tmp_path):
    run = micro_run(photos, tmp_path / "run", max_steps=5, labels=0.5)
    provenance = read_detector(fit_detector(run, shape=TINY)).provenance
    assert (provenance["steps"], provenance["train_subjects"]) == (5, 3)


def test_boxes_alone_train_a_detector_and_what_is_left_out_is_said(photos, tmp_path):
    def change(row):
        row = boxes_only(row)
        return row | {"x1": "", "y1": "", "x2": "", "y2": ""} if row["path"] == "p0_0.png" else row

    table = rewritten(photos, tmp_path / "data", change)
    shape = replace(TINY, num_landmarks=1)
    with logged() as lines:
        path = fit_detector(micro_run(table, tmp_path / "run", max_steps=2), shape=shape)
    assert any("no landmarks: the box's centre" in line for line in lines)
    assert any("left out: 1 pictures that cannot be used (1 no ear box), the first: p0_0.png" in line for line in lines)
    checkpoint = read_detector(path)
    assert checkpoint.landmark_names == ("box_centre",)
    assert checkpoint.provenance["left_out"] == 1
