"""`ear-teacher check`: is this machine ready to train? Versions, devices, weights, and three self-tests."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from training.errors import TrainingError
from training.model_config import SAM_SIZES_PX, ModelConfig
from training.presets import PRESETS, preset

if TYPE_CHECKING:
    from training.weights import LoadedWeights


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher check",
        description="Versions, devices, missing weights and what to do about each, and three self-tests of a preset. "
        "Exit status 0: ready to train; 1: a self-test failed, or weights that the default recipe needs are missing.",
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="teacher", help="(default teacher)")
    parser.add_argument("--sam-size", type=int, metavar="PX", help=f"SAM's input: {', '.join(map(str, SAM_SIZES_PX))}")
    parser.add_argument("--sam-weights", metavar="ID|FOLDER", help="where to look for SAM (default: the hub's cache)")
    parser.add_argument("--vgg-weights", metavar="FILE", help="where to look for VGG16 (default: where fetch puts it)")
    parser.add_argument("--without-weights", action="store_true", help="missing weights do not count: training will be "
                        "told --random-init and --perceptual-weight 0")  # fmt: skip
    return parser


def main(argv: list[str]) -> int:
    """Run the verb."""
    arguments = build_parser().parse_args(argv)
    model = preset(arguments.preset, sam_size_px=arguments.sam_size)
    for line in machine():
        print(line)
    missing = 0
    for name, load in _weights(arguments, model).items():
        usable, line = _loaded(load)
        print(f"weights  {name:18s}{line}")
        missing += not usable
    failed = sum(not _passes(name, model) for name in ("encoder", "VAE", "Lightning module"))
    lacking = missing and not arguments.without_weights
    print("ready to train" if not failed and not lacking else f"not ready: {failed} failed, {missing} weights missing")
    return 1 if failed or lacking else 0


def machine() -> Iterator[str]:
    """Versions and devices, a line each."""

    import torch

    from common.machine import usable_cpus
    from training.fit.session import resolve_precision
    from training.provenance import versions

    for name, version in versions().items():
        yield f"version  {name:18s}{version}"
    yield f"device   {'CPU':18s}{usable_cpus()} cores, torch uses {torch.get_num_threads()} threads"
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield f"device   {'GPU ' + str(index):18s}{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    if not torch.cuda.is_available():
        yield f"device   {'GPU':18s}none: the teacher trains slowly here, the tiny preset in minutes"
    yield f"device   {'precision':18s}{resolve_precision('auto')} (--precision auto)"


def _weights(arguments: argparse.Namespace, model: ModelConfig) -> dict[str, Callable[[], LoadedWeights]]:
    """What the preset's default recipe needs, and how to load each."""
    from pathlib import Path

    from training.networks.sam import SamEncoder
    from training.weights import SAM_HUB_ID, load_sam, vgg_weights

    vgg = Path(arguments.vgg_weights) if arguments.vgg_weights else None
    loaders: dict[str, Callable[[], LoadedWeights]] = {"VGG16": lambda: vgg_weights(vgg)[1]}
    if model.preset == "teacher":
        source = arguments.sam_weights or SAM_HUB_ID
        loaders["SAM"] = lambda: load_sam(SamEncoder(model.sam), source)
    return loaders


def _loaded(load: Callable[[], LoadedWeights]) -> tuple[bool, str]:
    """Whether these weights can be trained from, and the line that says so; judged as `train` judges them."""
    try:
        loaded = load()
    except TrainingError as error:
        return False, f"MISSING. {error}"
    return loaded.contents != "untrained", f"{'ok, ' if loaded.contents == 'published' else ''}{loaded}"


def _passes(name: str, model: ModelConfig) -> bool:
    """Run one self-test and say how it went."""
    from training.fit.selftest import SELF_TESTS

    since = time.perf_counter()
    try:
        outcome = SELF_TESTS[name](model)
    except Exception as error:  # whatever goes wrong is what was asked for
        print(f"test     {name:18s}FAILED. {type(error).__name__}: {error}", flush=True)
        return False
    print(f"test     {name:18s}ok, {outcome} ({time.perf_counter() - since:.1f} s)", flush=True)
    return True
