"""Pretrained weights: Meta's SAM image encoder and torchvision's VGG16, from a folder, a file or this machine's caches.

Looks locally first, so a run needs no network once the weights are there. Nothing is fetched silently into a run that
could not say so: what is absent is an error that tells how to get it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import SamVisionModel
from transformers.utils import logging as transformers_logging

from training.errors import WeightsMissing
from training.losses.perceptual import Vgg16Features
from training.networks.sam import SamEncoder

SAM_HUB_ID = "facebook/sam-vit-base"
VGG_FILE = "vgg16-397923af.pth"
VGG_URL = f"https://download.pytorch.org/models/{VGG_FILE}"
VGG_SHA256_PREFIX = "397923af"  # torchvision's file names carry the first digits of their hash


def default_folder() -> Path:
    """Where `ear-teacher weights fetch` puts VGG16 (SAM goes to Hugging Face's own cache)."""
    return Path.home() / ".cache" / "ear-teacher" / "weights"


def load_sam(encoder: SamEncoder, source: str, *, fetch: bool = False) -> None:
    """Fill the encoder with pretrained weights, position embeddings fitted to its input size.

    Args:
        encoder: of SAM ViT-B's shape but for `image_size_px`.
        source: a folder saved by `save_pretrained` (of `SamModel` or `SamVisionModel`), or a hub id.
        fetch: whether a hub id may be downloaded; False uses only what this machine has.

    Raises:
        WeightsMissing: not there, or of another shape than the encoder; the message says what to do.
    """
    published = _read_sam(source, fetch).state_dict()
    own = encoder.vision.state_dict()
    fitted = {name: _fit(name, tensor, own[name].shape) for name, tensor in published.items() if name in own}
    wrong = [name for name, tensor in own.items() if name not in fitted or fitted[name].shape != tensor.shape]
    if wrong:
        name = wrong[0]
        given = tuple(published[name].shape) if name in published else "absent"
        raise WeightsMissing(
            f"--sam-weights {source}: not of this preset's shape ({name} is {given}, the preset needs "
            f"{tuple(own[name].shape)}); a preset of its own shape is trained with --random-init"
        )
    encoder.vision.load_state_dict(fitted)


def _read_sam(source: str, fetch: bool) -> SamVisionModel:
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it reports SAM's mask decoder as unexpected, which it is
    transformers_logging.disable_progress_bar()
    try:
        model: Any = SamVisionModel.from_pretrained(source, local_files_only=not fetch)
    except (OSError, ValueError) as error:
        raise WeightsMissing(_sam_advice(source)) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()
    return model


def _sam_advice(source: str) -> str:
    if Path(source).is_dir():
        return f"--sam-weights {source}: the folder holds no SAM model (config.json and model.safetensors)"
    return (
        f"SAM's weights {source!r} are not on this machine. With internet: `ear-teacher weights fetch`. Without: copy "
        "the folder of https://huggingface.co/facebook/sam-vit-base (config.json, model.safetensors) here and give "
        "--sam-weights FOLDER. Or start from random weights with --random-init --freeze-layers 0"
    )


def _fit(name: str, tensor: Tensor, wanted: torch.Size) -> Tensor:
    """Interpolate position embeddings to another grid; every other tensor stays as it is."""
    if tensor.shape == wanted:
        return tensor
    if name.endswith("pos_embed") and tensor.shape[-1] == wanted[-1]:  # (1, G, G, C)
        grid = tensor.permute(0, 3, 1, 2)
        sized = F.interpolate(grid, size=wanted[1:3], mode="bicubic", antialias=True, align_corners=False)
        return sized.permute(0, 2, 3, 1)
    if "rel_pos" in name and tensor.shape[-1] == wanted[-1]:  # (2 G - 1, C)
        return F.interpolate(tensor.T[None], size=wanted[0], mode="linear", align_corners=False)[0].T
    return tensor


def find_vgg(path: Path | None = None) -> Path:
    """The file with VGG16's weights.

    Args:
        path: `--vgg-weights`; None looks where `ear-teacher weights fetch` and torch put it.

    Raises:
        WeightsMissing: not there.
    """
    places = [path] if path else [default_folder() / VGG_FILE, Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE]
    for place in places:
        if place.is_file():
            return place
    raise WeightsMissing(
        f"the perceptual loss needs VGG16's weights, and {places[0]} is not there. With internet: `ear-teacher weights "
        f"fetch`. Without: download {VGG_URL} elsewhere, copy it to {default_folder() / VGG_FILE} or give "
        "--vgg-weights FILE. Or do without: --perceptual-weight 0"
    )


def load_vgg(path: Path | None = None) -> Vgg16Features:
    """VGG16's features from torchvision's published file.

    Raises:
        WeightsMissing: no such file, or not VGG16's weights.
    """
    found = find_vgg(path)
    try:
        state = torch.load(found, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes torch say
        raise WeightsMissing(f"{found}: cannot be read as torchvision's VGG16 weights ({error})") from None
    if not isinstance(state, dict):
        raise WeightsMissing(f"{found}: holds a {type(state).__name__}; expected torchvision's VGG16 state dict")
    return Vgg16Features.from_state_dict(state, str(found))


def sha256_prefix_matches(path: Path, prefix: str = VGG_SHA256_PREFIX) -> bool:
    """Whether the file's SHA-256 begins as its name promises."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest().startswith(prefix)
