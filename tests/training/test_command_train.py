"""The flags of `ear-teacher train`."""

import argparse
import os
from dataclasses import fields
from pathlib import Path

import pytest

import ear_teacher
from tests.training.shapes import MICRO
from training.command_train import build_parser, config_from
from training.config import LossWeights, TrainConfig
from training.errors import ConfigError
from training.model_config import ModelConfig
from training.presets import PRESETS


def parse(*flags):
    return config_from(vars(build_parser().parse_args(list(flags))))


def test_defaults_are_the_reference_recipe():
    config = parse("--data", "ears")
    assert config.model == ModelConfig()
    assert config.model.freeze_layers == 6
    assert config.model.latent_dim == 1024
    assert config.model.image_size_px == 128
    assert (config.epochs, config.batch_size, config.lr) == (60, 4, 3e-4)
    assert 1 <= config.num_workers <= min(4, os.cpu_count() or 1)
    losses = config.losses
    assert (losses.kl, losses.perceptual, losses.ssim, losses.edge) == (1e-6, 1.5, 0.6, 0.3)
    assert (losses.contrastive, losses.center) == (0.1, 3.0)
    assert config.sam_weights == "facebook/sam-vit-base"
    assert config.out == Path("runs/ears")


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        (["--epochs", "3"], "epochs", 3),
        (["--batch-size", "7"], "batch_size", 7),
        (["--lr", "0.01"], "lr", 0.01),
        (["--precision", "bf16-mixed"], "precision", "bf16-mixed"),
        (["--num-workers", "0"], "num_workers", 0),
        (["--seed", "9"], "seed", 9),
        (["--devices", "2"], "devices", 2),
        (["--num-nodes", "2"], "num_nodes", 2),
        (["--strategy", "ddp"], "strategy", "ddp"),
        (["--accelerator", "cpu"], "accelerator", "cpu"),
        (["--sam-weights", "folder"], "sam_weights", "folder"),
        (["--random-init", "--freeze-layers", "0"], "sam_weights", None),
        (["--vgg-weights", "vgg.pth"], "vgg_weights", Path("vgg.pth")),
        (["--out", "there"], "out", Path("there")),
        (["--val", "v.npy"], "val", Path("v.npy")),
        (["--val-fraction", "0.2"], "val_fraction", 0.2),
        (["--crop", "none"], "crop", "none"),
        (["--hold-crops", "no"], "hold_crops", "no"),
        (["--skip-unreadable"], "skip_unreadable", True),
        (["--augment", "0.5"], "augment", 0.5),
        (["--max-minutes", "4"], "max_minutes", 4.0),
        (["--stop-after-epochs", "2"], "stop_after_epochs", 2),
        (["--fast-dev-run"], "fast_dev_run", True),
        (["--temperature", "0.2"], "temperature", 0.2),
        (["--views", "1"], "views", 1),
        (["--identity", "subject"], "identity", "subject"),
        (["--per-identity", "2"], "per_identity", 2),
        (["--identity-head", "fitted"], "identity_head", "fitted"),
        (["--optimizer", "muon"], "optimizer", "muon"),
        (["--muon-lr", "0.01"], "muon_lr", 0.01),
        (["--warmup", "0.1"], "warmup", 0.1),
        (["--weight-decay", "0.2"], "weight_decay", 0.2),
        (["--gradient-clip", "0"], "gradient_clip", 0.0),
        (["--ema-decay", "0.99"], "ema_decay", 0.99),
        (["--decode-every", "4"], "decode_every", 4),
    ],
)
def test_flag_reaches_the_run(flags, field, value):
    assert getattr(parse("--data", "ears", *flags), field) == value


@pytest.mark.parametrize("name", [item.name for item in fields(LossWeights)])
def test_each_term_has_its_weight(name):
    extra = ["--preset", "tiny"] if name == "keypoint" else []
    assert getattr(parse("--data", "ears", *extra, f"--{name}-weight", "0.25").losses, name) == 0.25


@pytest.mark.parametrize(
    ("flags", "path", "value"),
    [
        (["--preset", "tiny"], ("preset",), "tiny"),
        (["--freeze-layers", "3"], ("freeze_layers",), 3),
        (["--latent-dim", "256"], ("latent_dim",), 256),
        (["--image-size", "64"], ("image_size_px",), 64),
        (["--sam-size", "448"], ("sam", "image_size_px"), 448),
    ],
)
def test_flag_shapes_the_model(flags, path, value):
    found = parse("--data", "ears", *flags).model
    for name in path:
        found = getattr(found, name)
    assert found == value


def test_presets_of_their_own_shape_start_from_random_weights():
    assert parse("--data", "ears", "--preset", "tiny").sam_weights is None
    assert parse("--data", "ears", "--preset", "tiny").model == PRESETS["tiny"]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "--data is missing"),
        (["--data", "e", "--epochs", "0"], "--epochs 0"),
        (["--data", "e", "--lr", "0"], "--lr 0"),
        (["--data", "e", "--kl-weight", "-1"], "--kl-weight -1"),
        (["--data", "e", "--warmup", "1"], "--warmup 1"),
        (["--data", "e", "--batch-size", "1"], "--batch-size 1 with --contrastive-weight 0.1"),
        (["--data", "e", "--random-init"], "--random-init with --freeze-layers 6"),
        (["--data", "e", "--sam-size", "500"], "--sam-size 500: the teacher takes 1024"),
        (["--data", "e", "--freeze-layers", "13"], "--freeze-layers 13"),
        (["--data", "e", "--image-size", "100"], "--image-size 100"),
        (["--data", "e", "--keypoint-weight", "1"], "--keypoint-weight 1"),
        (["--data", "e", "--max-minutes", "0"], "--max-minutes 0"),
        (["--data", "e", "--strategy", "fsdp", "--ema-decay", "0.9"], "--ema-decay"),
        (["--data", "e", "--seed", "-1"], "--seed -1"),
    ],
)
def test_rejected_combination_names_its_flags(flags, named):
    with pytest.raises(ConfigError, match=named):
        parse(*flags)


def test_batch_of_one_may_run_once_or_without_the_contrastive_term():
    assert parse("--data", "e", "--batch-size", "1", "--fast-dev-run").batch_size == 1
    assert parse("--data", "e", "--batch-size", "1", "--contrastive-weight", "0").batch_size == 1


def test_help_groups_every_flag_and_explains_each(capsys):
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for group in ("data:", "model:", "run:", "identity:", "optimiser:", "machine:"):
        assert group in text
    parser = build_parser()
    assert all(action.help for action in parser._actions)
    known = {item.name for item in fields(TrainConfig)} - {"model", "losses"}
    offered = {action.dest for action in parser._actions if not isinstance(action, argparse._HelpAction)}
    assert known <= offered


def test_configuration_survives_json(tmp_path):
    config = parse("--data", "ears", "--preset", "tiny", "--max-minutes", "4", "--val", "v.npy")
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_mistake_is_one_line_and_status_two(capsys):
    assert ear_teacher.main(["train", "--data", "nowhere", "--preset", "tiny", "--perceptual-weight", "0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ear-teacher train: --data nowhere: no such file or folder")
    assert error.count("\n") == 1


def test_whole_run_from_the_command_line(ears, tmp_path, monkeypatch, capsys):
    """Train, stop, resume with nothing but the checkpoint; flags that would change what is learned are refused."""
    monkeypatch.setitem(PRESETS, "tiny", MICRO)
    common = ["--preset", "tiny", "--perceptual-weight", "0", "--batch-size", "8", "--num-workers", "0"]
    out = tmp_path / "run"
    flags = [
        "--data",
        str(ears),
        "--out",
        str(out),
        "--epochs",
        "2",
        "--stop-after-epochs",
        "1",
        "--accelerator",
        "cpu",
    ]
    assert ear_teacher.main(["train", *flags, *common]) == 0
    assert "parameters" in capsys.readouterr().err
    last = str(out / "checkpoints" / "last.ckpt")
    assert ear_teacher.main(["train", "--resume", last, "--lr", "1"]) == 2
    assert "--resume with --lr" in capsys.readouterr().err
    assert ear_teacher.main(["train", "--resume", str(out / "model.ckpt")]) == 2
    assert "holds weights only" in capsys.readouterr().err
    assert ear_teacher.main(["train", "--resume", last]) == 0
    shown = capsys.readouterr().err
    assert "resumed at epoch 2" in shown
    assert "epoch 2/2" in shown
