"""Pretrained weights: Meta's SAM image encoder and torchvision's VGG16, from a folder, a file or this machine's caches.

Files are read tensor by tensor (safetensors, or `torch.load(weights_only=True)`), and compared with the SHA-256 of the
published ones. Nothing is downloaded unless `fetch` says so. Knows the networks' names of tensors, no trainer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from training.errors import WeightsMissing
from training.losses.perceptual import Vgg16Features
from training.networks.sam import SamEncoder

SAM_HUB_ID = "facebook/sam-vit-base"
SAM_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""What `save_pretrained` writes, in the order in which they are looked for; an index names several shards."""
SAM_SHA256 = {
    "892c410e496344e527255ccdcb2cb7244a609acb5389c7c4fdba1288f861c579": "model.safetensors",
    "1a1e860feeb895bc46f704d4faad2a0be739b5dfdca0ebdda520ffbcfb73f348": "pytorch_model.bin",
}
"""Of the files of https://huggingface.co/facebook/sam-vit-base, as its pages state them."""
VGG_FILE = "vgg16-397923af.pth"
VGG_URL = f"https://download.pytorch.org/models/{VGG_FILE}"
VGG_SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"

Contents = Literal["published", "unchecked", "untrained"]
_SAID: dict[Contents, str] = {
    "published": "the published file (SHA-256 {sha256:.12})",
    "unchecked": "shape fits, contents not checked: its SHA-256 ({sha256:.12}...) is not the published file's",
    "untrained": "shape fits, but NOT PRETRAINED: its layer norms and biases are still at their initial values",
}


@dataclass(frozen=True)
class LoadedWeights:
    """Which file pretrained tensors came from, and what is known of its contents."""

    source: str
    sha256: str
    contents: Contents

    def __str__(self) -> str:
        return f"{self.source}: {_SAID[self.contents].format(sha256=self.sha256)}"


def default_folder() -> Path:
    """Where `ear-teacher weights fetch` puts VGG16 (SAM goes to Hugging Face's own cache)."""
    return Path.home() / ".cache" / "ear-teacher" / "weights"


def load_sam(encoder: SamEncoder, source: str, *, fetch: bool = False) -> LoadedWeights:
    """Fill the encoder with pretrained weights, position embeddings fitted to its input size.

    Args:
        encoder: of SAM ViT-B's shape but for `image_size_px`.
        source: a folder saved by `save_pretrained` (of `SamModel` or `SamVisionModel`), or a hub id.
        fetch: whether a hub id may be downloaded; False uses only what this machine has.

    Raises:
        WeightsMissing: not there, damaged, or of another shape than the encoder; the message says what to do.
    """
    files = _sam_files(source, fetch)
    own = encoder.vision.state_dict()
    published: dict[str, Tensor] = {}
    for file in files:
        published |= {name: tensor for name, tensor in _tensors(file, f"--sam-weights {source}") if name in own}
    fitted = {name: _fit(name, tensor.float(), own[name].shape) for name, tensor in published.items()}
    wrong = [name for name, tensor in own.items() if name not in fitted or fitted[name].shape != tensor.shape]
    if wrong:
        name = wrong[0]
        shape = tuple(published[name].shape) if name in published else "absent"
        raise WeightsMissing(
            f"--sam-weights {source}: not of this preset's shape ({name} is {shape}, the preset needs "
            f"{tuple(own[name].shape)}); a preset of its own shape is trained with --random-init"
        )
    encoder.vision.load_state_dict(fitted)
    sha256 = file_sha256(*files)
    contents: Contents = "published" if sha256 in SAM_SHA256 else "unchecked"
    return LoadedWeights(source, sha256, "untrained" if _untrained(published) else contents)


def _sam_files(source: str, fetch: bool) -> list[Path]:
    """The weight file, or all its shards."""
    folder = Path(source)
    if folder.is_dir():
        for name in SAM_FILES:
            if (folder / name).is_file():
                return [folder / shard for shard in _shards(folder / name)]
        raise WeightsMissing(f"--sam-weights {source}: the folder holds no SAM model ({', '.join(SAM_FILES)})")
    for name in SAM_FILES:
        if file := _hub_file(source, name, fetch):
            return [shard for part in _shards(file) if (shard := _hub_file(source, part, fetch, required=True))]
    raise WeightsMissing(_sam_advice(source))


def _shards(file: Path) -> list[str]:
    """Names of the files that hold the tensors: the file itself, or those that an index lists."""
    if file.suffix != ".json":
        return [file.name]
    try:
        return sorted(set(json.loads(file.read_text())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WeightsMissing(f"{file}: cannot be read as an index of shards ({error!r})") from None


def _hub_file(source: str, name: str, fetch: bool, required: bool = False) -> Path | None:
    """A file of a hub repository: from the hub's cache, and from the internet where `fetch` allows it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(source, name, local_files_only=not fetch))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        if required:
            raise WeightsMissing(f"--sam-weights {source}: {name} is not there; {_sam_advice(source)}") from error
        return None


def _sam_advice(source: str) -> str:
    return (
        f"SAM's weights {source!r} are not on this machine. With internet: `ear-teacher weights fetch`. Without: copy "
        "the folder of https://huggingface.co/facebook/sam-vit-base (config.json, model.safetensors) here and give "
        "--sam-weights FOLDER. Or start from random weights with --random-init --freeze-layers 0"
    )


def _tensors(file: Path, what: str) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor of each entry, without running anything that the file brings."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise WeightsMissing(f"{what}: {file.name} is named by the index, and is not in {file.parent}")
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as stream:
                for name in stream.keys():  # noqa: SIM118  # it is no mapping
                    yield name, stream.get_tensor(name)
        else:
            yield from torch.load(file, map_location="cpu", weights_only=True).items()
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, AttributeError, KeyError) as error:
        raise WeightsMissing(f"{what}: {file.name} is damaged or no file of tensors ({error})") from None
    except Exception as error:  # pickle's own errors have no common root but this
        raise WeightsMissing(f"{what}: {file.name} holds more than tensors ({type(error).__name__})") from None


def _untrained(tensors: Mapping[str, Tensor]) -> bool:
    """Whether layer norms and attention biases have the values that a network starts from: no training leaves those."""
    norms = [tensor for name, tensor in tensors.items() if name.endswith("layer_norm1.weight")]
    biases = [tensor for name, tensor in tensors.items() if name.endswith("qkv.bias")]
    return all(bool((tensor == 1).all()) for tensor in norms) and all(bool((tensor == 0).all()) for tensor in biases)


def _fit(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """Interpolate position embeddings to another grid; every other tensor stays as it is."""
    if tensor.shape == shape:
        return tensor
    if name.endswith("pos_embed") and tensor.shape[-1] == shape[-1]:  # (1, G, G, C)
        grid = tensor.permute(0, 3, 1, 2)
        sized = F.interpolate(grid, size=shape[1:3], mode="bicubic", antialias=True, align_corners=False)
        return sized.permute(0, 2, 3, 1)
    if "rel_pos" in name and tensor.shape[-1] == shape[-1]:  # (2 G - 1, C)
        return F.interpolate(tensor.T[None], size=shape[0], mode="linear", align_corners=False)[0].T
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
    """VGG16's features from torchvision's published file; raises as `vgg_weights` does."""
    return vgg_weights(path)[0]


def vgg_weights(path: Path | None = None) -> tuple[Vgg16Features, LoadedWeights]:
    """VGG16's features from torchvision's published file, and what is known of the file.

    Raises:
        WeightsMissing: no such file, not VGG16's weights, or not the file that its name says it is.
    """
    file = find_vgg(path)
    try:
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes torch say
        raise WeightsMissing(f"{file}: cannot be read as torchvision's VGG16 weights ({error})") from None
    if not isinstance(state, dict):
        raise WeightsMissing(f"{file}: holds a {type(state).__name__}; expected torchvision's VGG16 state dict")
    sha256 = file_sha256(file)
    if file.name == VGG_FILE and sha256 != VGG_SHA256:
        raise WeightsMissing(
            f"{file}: damaged, or not torchvision's file: its SHA-256 is {sha256:.12}..., the published one's "
            f"{VGG_SHA256:.12}...; delete it and run `ear-teacher weights fetch`"
        )
    features = Vgg16Features.from_state_dict(state, str(file))
    return features, LoadedWeights(str(file), sha256, "published" if sha256 == VGG_SHA256 else "unchecked")


def file_sha256(*files: Path) -> str:
    """The SHA-256 of a file, hexadecimal; of several, that of their own ones in order."""
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
