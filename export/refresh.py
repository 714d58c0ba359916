"""A retrain from pictures to a live model as a list of stages: what each runs, and how to see that it is done already.

Knows verbs by their command lines and results by their files; runs nothing, loads neither torch nor the service.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.errors import OptionError

STAGES = ("train", "evaluate", "export", "promote")
PLAN = "refresh.json"


@dataclass(frozen=True)
class Stage:
    """One verb of the chain. `done`: the file that this stage writes last, None where only the verb itself can tell."""

    name: str
    argv: tuple[str, ...]
    done: Path | None

    @property
    def is_done(self) -> bool:
        """Whether an earlier run finished it."""
        return self.done is not None and self.done.is_file()


@dataclass(frozen=True)
class RefreshConfig:
    """What a refresh is made of; checks itself. `train_flags` go to `ear-teacher train` as they are."""

    data: Path
    out: Path
    val: Path | None = None
    url: str = "http://127.0.0.1:8350"
    precision: str | None = None
    activate: bool = False
    force: bool = False
    skip: tuple[str, ...] = ()
    until: str = "promote"
    train_flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.skip, self.until) if name not in STAGES]
        if unknown:
            raise OptionError(f"no stage {unknown[0]!r}: --skip and --until take {', '.join(STAGES)}")
        if self.force and not self.activate:
            raise OptionError("--force without --activate forces nothing: give both, or neither")
        reserved = [flag for flag in self.train_flags if flag in ("--data", "--val", "--out", "--resume")]
        if reserved:
            raise OptionError(f"{reserved[0]} after -- : a refresh sets it itself")
        if "train" not in self.skip and not self.data.exists():
            raise OptionError(f"--data {self.data} does not exist")

    @property
    def checkpoint(self) -> Path:
        """What training leaves."""
        return self.out / "train" / "model.ckpt"

    @property
    def bundle(self) -> Path:
        """What export leaves, and the service is given."""
        return self.out / "bundle"


def stages(config: RefreshConfig) -> list[Stage]:
    """The stages that were asked for, in order."""
    chosen = STAGES[: STAGES.index(config.until) + 1]
    every = (_train(config), _evaluate(config), _export(config), _promote(config))
    return [stage for stage in every if stage.name in chosen and stage.name not in config.skip]


def remember(config: RefreshConfig) -> None:
    """Hold a folder to one training: results of other pictures or flags must not be mistaken for this one's."""
    plan = {"data": str(config.data.resolve()), "val": str(config.val), "train_flags": list(config.train_flags)}
    file = config.out / PLAN
    if file.is_file() and (begun := json.loads(file.read_text(encoding="utf-8"))) != plan:
        differing = ", ".join(name for name in plan if begun.get(name) != plan[name])
        raise OptionError(f"{config.out} was begun with other {differing}: give a new --out, or those of {file}")
    config.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def _train(config: RefreshConfig) -> Stage:
    run = config.out / "train"
    last = run / "checkpoints" / "last.ckpt"
    argv = ["train", "--data", str(config.data), "--out", str(run), *_val(config), *config.train_flags]
    if last.is_file():
        argv = ["train", "--resume", str(last)]
    return Stage("train", tuple(argv), config.checkpoint)


def _evaluate(config: RefreshConfig) -> Stage:
    out = config.out / "evaluation"
    argv = ("evaluate", str(config.checkpoint), "--data", str(config.val or config.data), "--out", str(out))
    return Stage("evaluate", argv, out / "results.json")


def _export(config: RefreshConfig) -> Stage:
    # A folder without a manifest is what an interrupted export left: --force replaces it.
    argv = ["export", str(config.checkpoint), "--out", str(config.bundle), "--force"]
    argv += ["--crops", str(config.val or config.data)]
    argv += ["--precision", config.precision] if config.precision else []
    return Stage("export", tuple(argv), config.bundle / "manifest.json")


def _promote(config: RefreshConfig) -> Stage:
    flags = [flag for flag, is_set in (("--activate", config.activate), ("--force", config.force)) if is_set]
    return Stage("promote", ("promote", str(config.bundle), "--url", config.url, *flags), None)


def _val(config: RefreshConfig) -> Sequence[str]:
    return () if config.val is None else ("--val", str(config.val))
