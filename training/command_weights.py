"""`ear-teacher weights fetch|verify`: get SAM and VGG16 where there is internet, and check them where there is none."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import TrainingError, WeightsMissing

if TYPE_CHECKING:
    from training.weights import LoadedWeights


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ear-teacher weights",
        description="Pretrained weights for training: SAM ViT-B (375 MB) and VGG16 (528 MB, for the perceptual loss).",
    )
    parser.add_argument("action", choices=("fetch", "verify"), help="fetch: download and check; verify: check only")
    parser.add_argument("--only", choices=("sam", "vgg16"), help="just this one (default: both)")
    parser.add_argument("--sam-weights", default=None, metavar="ID|FOLDER", help="default: facebook/sam-vit-base")
    parser.add_argument("--vgg-weights", type=Path, metavar="FILE", help="default: the weights folder of this user")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb; 0 when everything asked for is there, of the right shape and not known to be untrained."""
    arguments = _parser().parse_args(argv)
    jobs = {"sam": _sam, "vgg16": _vgg}
    chosen = [arguments.only] if arguments.only else list(jobs)
    failed = 0
    for name in chosen:
        try:
            print(f"{name}: {jobs[name](arguments)}")
        except TrainingError as error:
            print(f"{name}: NOT USABLE. {error}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _sam(arguments: argparse.Namespace) -> str:
    from training.model_config import SamShape
    from training.networks.sam import SamEncoder
    from training.weights import SAM_HUB_ID, load_sam

    source = arguments.sam_weights or SAM_HUB_ID
    encoder = SamEncoder(SamShape())
    return _said(load_sam(encoder, source, fetch=arguments.action == "fetch"))


def _vgg(arguments: argparse.Namespace) -> str:
    import torch

    from training.weights import VGG_FILE, VGG_SHA256, VGG_URL, default_folder, vgg_weights

    target = arguments.vgg_weights or default_folder() / VGG_FILE
    if arguments.action == "fetch" and not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(VGG_URL, str(target), hash_prefix=VGG_SHA256)
        except (OSError, RuntimeError) as error:
            raise WeightsMissing(f"{VGG_URL} cannot be fetched to {target} ({error})") from None
    return _said(vgg_weights(arguments.vgg_weights)[1])


def _said(loaded: LoadedWeights) -> str:
    """The line of weights that are there; raises WeightsMissing for those that nothing trained."""
    if loaded.contents == "untrained":
        raise WeightsMissing(str(loaded))
    return f"{'ok, ' if loaded.contents == 'published' else ''}{loaded}"
