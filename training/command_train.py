"""`ear-teacher train`: pictures of ears -> checkpoint. Turns flags into a `TrainConfig` and hands it to the trainer."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.flags import add_flags, flag
from training.config import LossWeights, TrainConfig
from training.errors import ConfigError
from training.model_config import PICTURE_BASES, SAM_SIZES_PX, ModelConfig
from training.presets import PRESETS, preset

_GROUPS = {"data": "data", "model": "model", "run": "run", "loss": "loss = L1 + weight x term + ...",
           "identity": "identity", "optimiser": "optimiser", "machine": "machine"}  # fmt: skip
_MODEL_FLAGS = (
    "preset", "sam_size", "freeze_layers", "latent_dim", "image_size", "picture_rank", "picture_basis",
)  # fmt: skip
_ON_RESUME = {
    "data", "val", "out", "num_workers", "devices", "num_nodes", "strategy", "accelerator", "max_minutes",
    "stop_after_epochs", "vgg_weights", "hold_crops", "epochs", "layout", "subject_pattern", "compile",
    "cache_frozen_gib",
}  # fmt: skip
"""Flags that may differ when a run is resumed: where things are, on what it runs and for how long, never what is
learned."""


def build_parser() -> argparse.ArgumentParser:
    """The command line. Flags not given are absent from the namespace, so that a resumed run keeps its own."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher train",
        description="Train an ear teacher: pictures of ears -> out/model.ckpt.",
        argument_default=argparse.SUPPRESS,
    )
    groups = {name: parser.add_argument_group(title) for name, title in _GROUPS.items()}
    groups["model"].add_argument("--preset", choices=sorted(PRESETS), help="shape of the networks (default teacher)")
    add_flags(parser, TrainConfig, groups)
    add_flags(parser, LossWeights, groups, suffix="_weight")
    _shape_flags(groups["model"])
    groups["run"].add_argument("--config", type=Path, metavar="FILE", help="flags from a YAML file, such as a run's "
                               "logs/csv/version_0/hparams.yaml; flags given beside it win")  # fmt: skip
    groups["run"].add_argument(
        "--print-config", action="store_true", help="print the run as YAML for --config, and train nothing"
    )
    return parser


def _shape_flags(group: Any) -> None:
    """Departures from the preset's shape."""
    group.add_argument("--sam-size", type=int, metavar="PX", help="SAM's input side in pixels: "
                       f"{', '.join(map(str, SAM_SIZES_PX))} (default: the preset's; teacher 1024)")  # fmt: skip
    group.add_argument("--freeze-layers", type=int, metavar="N", help="first transformer layers kept frozen, with the "
                       "embeddings (default: the preset's; the teacher's is 6)")  # fmt: skip
    group.add_argument("--latent-dim", type=int, metavar="D", help="size of the latent (default 1024)")
    group.add_argument("--image-size", type=int, metavar="PX", help="side of the crops in pixels (default 128)")
    group.add_argument("--picture-rank", type=int, metavar="N", help="how many of the latents are the picture itself, "
                       "read and drawn linearly (default: the preset's; tiny 384, teacher 0)")  # fmt: skip
    group.add_argument("--picture-basis", choices=PICTURE_BASES, help="what they are: principal components of a "
                       "small picture, or the crop's lowest cosine frequencies (default components)")  # fmt: skip
    group.add_argument("--random-init", action="store_true", help="start SAM from random weights")


def config_from(flags: dict[str, Any]) -> TrainConfig:
    """The run that these flags ask for.

    Raises:
        ConfigError: a combination that cannot work; the message names the flags.
    """
    if "config" in flags:
        flags = {**read_config(flags["config"]), **{name: value for name, value in flags.items() if name != "config"}}
    if "resume" in flags:
        return _resumed(flags)
    if "data" not in flags:
        raise ConfigError(
            "--data is missing: give train_teacher.npy, its folder, a metadata.csv or a folder of pictures"
        )
    if sum(bool(flags.get(name)) for name in ("random_init", "sam_weights", "init_from")) > 1:
        raise ConfigError("--random-init, --sam-weights and --init-from exclude each other: each says how SAM starts")
    model = _model(flags)
    shape = {"model", "losses", "random_init", *_MODEL_FLAGS}
    values = {name: value for name, value in flags.items() if name not in shape and not name.endswith("_weight")}
    weights = {name.removesuffix("_weight"): value for name, value in flags.items() if name.endswith("_weight")}
    if flags.get("random_init") or "init_from" in flags or (model.preset != "teacher" and "sam_weights" not in flags):
        values["sam_weights"] = None
    return TrainConfig(**values, model=model, losses=LossWeights(**{**flags.get("losses", {}), **weights}))


def _model(flags: dict[str, Any]) -> ModelConfig:
    """The preset or, with --init-from or --config, the networks found there, and the departures from it."""
    size, name = flags.get("sam_size"), flags.get("preset", "teacher")
    if "init_from" in flags:
        return _same_shape(flags)
    if size is not None and name == "teacher" and "model" not in flags and size not in SAM_SIZES_PX:
        raise ConfigError(f"--sam-size {size}: the teacher takes {', '.join(map(str, SAM_SIZES_PX))}")
    return preset(
        name,
        base=flags["model"] if "model" in flags and "preset" not in flags else None,
        sam_size_px=size,
        freeze_layers=flags.get("freeze_layers"),
        latent_dim=flags.get("latent_dim"),
        image_size_px=flags.get("image_size"),
        picture_rank=flags.get("picture_rank"),
        picture_basis=flags.get("picture_basis"),
    )


def _same_shape(flags: dict[str, Any]) -> ModelConfig:
    """The shape of the networks to start from; of the flags only --freeze-layers may differ."""
    from training.init_from import shape_of

    source: Path = flags["init_from"]
    shape = shape_of(source)
    own = {"preset": shape.preset, "sam_size": shape.sam.image_size_px, "latent_dim": shape.latent_dim,
           "image_size": shape.image_size_px, "picture_rank": shape.picture_rank,
           "picture_basis": shape.picture_basis}  # fmt: skip
    for name, value in own.items():
        if flags.get(name, value) != value:
            raise ConfigError(
                f"{flag(name)} {flags[name]}: --init-from {source} has {value}, and its networks keep their shape; "
                f"leave {flag(name)} out"
            )
    return replace(shape, freeze_layers=flags.get("freeze_layers", shape.freeze_layers))


def read_config(path: Path) -> dict[str, Any]:
    """Flags out of YAML: names as on the command line, `model` and `losses` as `hparams.yaml` has them.

    Raises:
        ConfigError: no such file, not a mapping, or a name that is no flag.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path}: cannot be read as YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"--config {path}: holds a {type(values).__name__}; expected one `flag: value` a line")
    values = {str(name).replace("-", "_"): value for name, value in values.items() if value is not None}
    kinds = {action.dest: action.type for action in build_parser()._actions}
    unknown = sorted(set(values) - {*kinds, "model", "losses"} | {"config", "help"} & set(values))
    if unknown:
        raise ConfigError(f"--config {path}: {', '.join(unknown)}: no such flag of ear-teacher train")
    if "model" in values:
        values["model"] = ModelConfig.from_dict(values["model"])
        if values["model"].preset == "teacher" and not values.get("sam_weights") and "init_from" not in values:
            values["random_init"] = True  # what the file leaves out because it is None
    return {name: Path(value) if kinds.get(name) is Path else value for name, value in values.items()}


def _resumed(flags: dict[str, Any]) -> TrainConfig:
    """The run stored in the checkpoint, on what may be another machine."""
    from training.checkpoint import read_raw

    path = flags.pop("resume")
    content = read_raw(path)
    if "train_config" not in content:
        raise ConfigError(f"--resume {path}: holds weights only; give checkpoints/last.ckpt or one of the best three")
    learned = sorted(set(flags) - _ON_RESUME)
    if learned:
        raise ConfigError(
            f"--resume with {', '.join(map(flag, learned))}: a resumed run keeps what it began with; may be given: "
            + ", ".join(map(flag, sorted(_ON_RESUME)))
        )
    stored = TrainConfig.from_dict(json.loads(content["train_config"]))
    if flags.get("epochs", stored.epochs) < stored.epochs:
        raise ConfigError(f"--epochs {flags['epochs']}: the run has {stored.epochs}; --resume may only raise it")
    place = path.resolve().parent
    out = place.parent if place.name == "checkpoints" else stored.out  # a run may have been moved or copied
    return replace(stored, stop_after_epochs=None, **{"out": out, **flags, "resume": path})


def main(argv: list[str]) -> int:
    """Run the verb."""
    flags = vars(build_parser().parse_args(argv))
    shown = flags.pop("print_config", False)
    config = config_from(flags)
    if shown:
        import yaml

        print(yaml.safe_dump(config.to_dict(reproducible=True), sort_keys=False), end="")
        return 0
    from common.progress import show_progress
    from training.fit.trainer import fit

    show_progress()
    fit(config)
    return 0
