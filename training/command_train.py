"""`ear-teacher train`: pictures of ears -> checkpoint. Turns flags into a `TrainConfig` and hands it to the trainer."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from training.config import CHOICES, SAM_SIZES_PX, LossWeights, ModelConfig, TrainConfig, flag
from training.errors import ConfigError
from training.presets import PRESETS, preset

_MODEL_FLAGS = ("preset", "sam_size", "freeze_layers", "latent_dim", "image_size")
_ON_RESUME = {
    "data", "val", "out", "num_workers", "devices", "num_nodes", "strategy", "accelerator", "max_minutes",
    "stop_after_epochs", "vgg_weights", "hold_crops",
}  # fmt: skip
"""Flags that may differ when a run is taken up again: where things are and on what it runs, never what is learned."""


def build_parser() -> argparse.ArgumentParser:
    """The command line. Flags not given are absent from the namespace, so that a resumed run keeps its own."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher train",
        description="Train an ear teacher: pictures of ears -> out/model.ckpt.",
        argument_default=argparse.SUPPRESS,
    )
    _data_flags(parser.add_argument_group("data"))
    _model_flags(parser.add_argument_group("model"))
    _run_flags(parser.add_argument_group("run"))
    _loss_flags(parser.add_argument_group("loss = L1 + weight x term + ..."))
    _identity_flags(parser.add_argument_group("identity"))
    _optimizer_flags(parser.add_argument_group("optimiser"))
    _machine_flags(parser.add_argument_group("machine"))
    return parser


def _data_flags(group: Any) -> None:
    group.add_argument(
        "--data", type=Path, help="train_teacher.npy or its folder, a metadata.csv, or a folder of pictures"
    )
    group.add_argument("--val", type=Path, help="validation pictures (default: val_teacher.npy beside --data, else the "
                       "rows with split=val, else a share of the subjects)")  # fmt: skip
    group.add_argument("--val-fraction", type=float, help="that share, 0 to 1 (default 0.1)")
    group.add_argument("--out", type=Path, help="folder of the run (default runs/ears)")
    group.add_argument("--crop", choices=CHOICES["crop"], help="box: frame each ear by its box where there is one; "
                       "none: whole pictures (default box)")  # fmt: skip
    group.add_argument("--hold-crops", choices=CHOICES["hold_crops"], help="keep framed crops in memory (default auto: "
                       "while they take under a quarter of it)")  # fmt: skip
    group.add_argument("--skip-unreadable", action="store_true", help="leave out pictures that cannot be read")
    group.add_argument("--augment", type=float, help="strength of the augmentations, 0 for none (default 1)")


def _model_flags(group: Any) -> None:
    group.add_argument("--preset", choices=sorted(PRESETS), help="shape of the networks (default teacher)")
    group.add_argument("--sam-size", type=int, metavar="PX", help="SAM's input side in pixels: "
                       f"{', '.join(map(str, SAM_SIZES_PX))} (default: the preset's; teacher 1024)")  # fmt: skip
    group.add_argument("--freeze-layers", type=int, metavar="N", help="first transformer layers kept frozen, with the "
                       "embeddings (default: the preset's; the teacher's is 6)")  # fmt: skip
    group.add_argument("--latent-dim", type=int, metavar="D", help="size of the latent (default 1024)")
    group.add_argument("--image-size", type=int, metavar="PX", help="side of the crops in pixels (default 128)")
    weights = group.add_mutually_exclusive_group()
    weights.add_argument("--sam-weights", metavar="ID|FOLDER", help="pretrained SAM (default facebook/sam-vit-base for "
                         "the teacher, none for presets trained from scratch)")  # fmt: skip
    weights.add_argument("--random-init", action="store_true", help="start SAM from random weights")
    group.add_argument("--vgg-weights", type=Path, metavar="FILE", help="torchvision's VGG16, for the perceptual term")


def _run_flags(group: Any) -> None:
    group.add_argument("--epochs", type=int, help="passes over the training pictures (default 60)")
    group.add_argument("--batch-size", type=int, help="pictures per step and device (default 4)")
    group.add_argument("--max-minutes", type=float, help="stop after so many minutes; the schedule ends with it")
    group.add_argument("--stop-after-epochs", type=int, help="end this session after so many epochs; --resume goes on")
    group.add_argument("--resume", type=Path, metavar="CKPT", help="continue exactly from checkpoints/last.ckpt; all "
                       "flags come from it")  # fmt: skip
    group.add_argument("--seed", type=int, help="of weights, order, augmentation and noise (default 0)")
    group.add_argument("--fast-dev-run", action="store_true", help="one step of training and validation, files written")


def _loss_flags(group: Any) -> None:
    says = {
        "perceptual": "VGG16 features",
        "ssim": "1 - structural similarity",
        "edge": "Sobel derivatives",
        "contrastive": "views of one ear attract, other ears repel",
        "center": "L1, weighted towards the centre",
        "kl": "of the latent to the prior, nats",
        "coarse": "the decoder's coarse picture, of the whole batch",
        "landmark": "landmarks read from mu, where known",
        "keypoint": "the encoder's keypoints on the landmarks",
    }
    for item in fields(LossWeights):
        group.add_argument(
            f"--{item.name}-weight", type=float, metavar="W", help=f"{says[item.name]} (default {item.default})"
        )


def _identity_flags(group: Any) -> None:
    group.add_argument("--temperature", type=float, help="of the contrastive term (default 0.1)")
    group.add_argument("--views", type=int, help="augmented views of each picture in a step (default 2)")
    group.add_argument("--identity", choices=CHOICES["identity"], help="what attracts, where subjects are known: one "
                       "(subject, side), or both ears of a subject (default ear)")  # fmt: skip
    group.add_argument("--per-identity", type=int, help="pictures of one identity together in a batch (default 4)")
    group.add_argument("--identity-head", choices=CHOICES["identity_head"], help="W as the contrastive term made it, "
                       "or fitted in closed form at the end, to the subjects or, without any, to augmented "
                       "views (default trained)")  # fmt: skip


def _optimizer_flags(group: Any) -> None:
    group.add_argument(
        "--optimizer", choices=CHOICES["optimizer"], help="adamw, or muon for the matrices (default adamw)"
    )
    group.add_argument("--lr", type=float, help="peak learning rate of AdamW (default 3e-4)")
    group.add_argument("--muon-lr", type=float, help="peak learning rate of Muon (default 0.02)")
    group.add_argument("--warmup", type=float, help="share of the run over which the rate rises (default 0.05)")
    group.add_argument("--weight-decay", type=float, help="of matrices (default 0.05)")
    group.add_argument("--gradient-clip", type=float, help="largest norm of the gradient, 0: any (default 1)")
    group.add_argument("--ema-decay", type=float, help="of the averaged weights that are saved, 0: none (default 0)")
    group.add_argument("--decode-every", type=int, metavar="N", help="decode every n-th picture of a batch (default 1)")


def _machine_flags(group: Any) -> None:
    group.add_argument("--precision", choices=CHOICES["precision"], help="(default auto: what the hardware is fast in)")
    group.add_argument(
        "--num-workers", type=int, help="processes that read pictures, per device (default: cores, at most 4)"
    )
    group.add_argument("--devices", type=int, help="GPUs (or CPU processes) per node (default 1)")
    group.add_argument("--num-nodes", type=int, help="machines (default 1)")
    group.add_argument("--strategy", choices=CHOICES["strategy"], help="how devices work together (default auto)")
    group.add_argument("--accelerator", choices=CHOICES["accelerator"], help="(default auto: a GPU where there is one)")


def config_from(given: dict[str, Any]) -> TrainConfig:
    """The run that these flags ask for.

    Raises:
        ConfigError: a combination that cannot work; the message names the flags.
    """
    if "resume" in given:
        return _resumed(given)
    if "data" not in given:
        raise ConfigError(
            "--data is missing: give train_teacher.npy, its folder, a metadata.csv or a folder of pictures"
        )
    given = {"out": Path("runs/ears"), **given}
    values = {name: value for name, value in given.items() if name not in _MODEL_FLAGS and not name.endswith("_weight")}
    weights = {name.removesuffix("_weight"): value for name, value in given.items() if name.endswith("_weight")}
    model = _model(given)
    random = values.pop("random_init", False) or (model.preset != "teacher" and "sam_weights" not in values)
    if random:
        values["sam_weights"] = None
    return TrainConfig(**values, model=model, losses=LossWeights(**weights))


def _model(given: dict[str, Any]) -> ModelConfig:
    size = given.get("sam_size")
    name = given.get("preset", "teacher")
    if size is not None and name == "teacher" and size not in SAM_SIZES_PX:
        raise ConfigError(f"--sam-size {size}: the teacher takes {', '.join(map(str, SAM_SIZES_PX))}")
    return preset(
        name,
        sam_size_px=size,
        freeze_layers=given.get("freeze_layers"),
        latent_dim=given.get("latent_dim"),
        image_size_px=given.get("image_size"),
    )


def _resumed(given: dict[str, Any]) -> TrainConfig:
    """The run stored in the checkpoint, on what may be another machine."""
    from training.checkpoint import read_raw

    path = given.pop("resume")
    content = read_raw(path)
    if "train_config" not in content:
        raise ConfigError(f"--resume {path}: holds weights only; give checkpoints/last.ckpt or one of the best three")
    learned = sorted(set(given) - _ON_RESUME)
    if learned:
        raise ConfigError(
            f"--resume with {', '.join(map(flag, learned))}: a resumed run keeps what it began with; may be given: "
            + ", ".join(map(flag, sorted(_ON_RESUME)))
        )
    stored = TrainConfig.from_dict(json.loads(content["train_config"]))
    return replace(stored, stop_after_epochs=None, **{**given, "resume": path})


def main(argv: list[str]) -> int:
    """Run the verb."""
    given = vars(build_parser().parse_args(argv))
    config = config_from(given)
    from training.fit.trainer import fit

    fit(config, lambda line: print(line, flush=True))
    return 0
