"""Networks to start a new run from: any checkpoint of this project, or a bundle, rebuilt into `EarVAE`.

A bundle's graphs hold the same numbers in other places: pixel statistics folded into the patch convolution, the query's
scale into its projection, batch norms into convolutions (`export/graph/`). All of it can be undone but one thing: what
the batch norms knew of the training pictures, which `settle_batch_norms` measures anew on the pictures of the new run.
An aligned embedding is carried along by `training/embedding/carried.py`; the affine identity head begins anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bundle.errors import BundleError
from bundle.manifest import MANIFEST_NAME, Manifest, read_manifest
from training.checkpoint import read_checkpoint
from training.errors import CheckpointError
from training.model_config import ModelConfig
from training.networks.linear_picture import LATENT_STD
from training.networks.vae import EarVAE

GRAPHS = ("encoder", "decoder")


def shape_of(source: Path) -> ModelConfig:
    """The networks' shape.

    Raises:
        CheckpointError: neither a checkpoint nor a bundle of this project.
    """
    return ModelConfig.from_dict(_architecture(source)) if source.is_dir() else read_checkpoint(source).config


def load_networks(model: EarVAE, source: Path) -> dict[str, Any]:
    """Give `model`, which has the shape of `shape_of(source)`, the tensors found there.

    Returns:
        What the new run's provenance says of them: name, kind and the provenance of the source.

    Raises:
        CheckpointError: neither a checkpoint nor a bundle of this project, or tensors that do not fit.
    """
    if source.is_dir():
        manifest = _manifest(source)
        model.load_state_dict(rebuild(source, model.config))
        made = manifest.training.get("provenance", {})
        return {"kind": "bundle", "name": source.name, "space_id": manifest.space_id, "provenance": made}
    checkpoint = read_checkpoint(source)
    try:
        model.load_state_dict(checkpoint.state_dict)
    except RuntimeError as error:
        raise CheckpointError(f"--init-from {source}: its tensors do not fit its own configuration: {error}") from None
    return {"kind": "checkpoint", "name": source.name, "provenance": checkpoint.provenance}


def _manifest(source: Path) -> Manifest:
    try:
        return read_manifest(source)
    except (BundleError, OSError) as error:
        raise CheckpointError(
            f"--init-from {source}: give a checkpoint (model.ckpt) or a bundle's folder with {MANIFEST_NAME}: {error}"
        ) from None


def _architecture(source: Path) -> dict[str, Any]:
    shape: dict[str, Any] | None = _manifest(source).training.get("architecture")
    if not shape:
        raise CheckpointError(
            f"--init-from {source}: its manifest does not say the networks' shape; give the checkpoint"
        )
    return shape


def rebuild(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    """The state dict of `EarVAE(config)` out of a bundle's float32 graphs, batch norms at mean 0 and variance 1.

    Raises:
        CheckpointError: the graphs hold it in a form that cannot be undone.
    """
    shape = config.sam
    if shape.image_size_px > config.image_size_px:
        raise CheckpointError(
            f"--init-from {folder}: the graph of a SAM input of {shape.image_size_px} px holds the patch convolution "
            f"folded with the upsampling from {config.image_size_px} px, which cannot be undone; give the checkpoint"
        )
    tensors = {name: value for graph in GRAPHS for name, value in _initialisers(folder / f"{graph}.onnx").items()}
    model = EarVAE(config)
    state = dict(model.state_dict())
    parts = {**_sam(tensors, model), **_convolutions(tensors, model), **_spreads(tensors, config)}
    for name, own in state.items():
        if name in parts:
            tensor = parts[name]
        elif name.endswith("num_batches_tracked"):
            continue
        elif name not in tensors and name.startswith("identity."):
            continue  # the bundle's embedding is an attached branch: the affine head begins anew
        elif name not in tensors:
            raise CheckpointError(f"--init-from {folder}: its graphs have no tensor {name}; give the checkpoint")
        else:
            tensor = tensors[name]
        if name == "identity.weight" and len(tensor) < len(own):
            tensor = torch.cat([tensor, tensor.new_zeros(len(own) - len(tensor), own.shape[1])])
        if tensor.shape != own.shape:
            raise CheckpointError(
                f"--init-from {folder}: {name} is {tuple(tensor.shape)} there, {tuple(own.shape)} in its networks; "
                "give the checkpoint"
            )
        state[name] = tensor.to(own.dtype)
    return state


def _initialisers(path: Path) -> dict[str, Tensor]:
    """Tensors of a graph by name, float32; those stored in half precision under their own name."""
    import onnx

    if not path.is_file():
        raise CheckpointError(f"--init-from {path.parent}: has no float32 {path.name}; give the checkpoint")
    graph = onnx.load(path).graph
    arrays = {tensor.name.removesuffix(".float16"): onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    prefix = path.stem  # constants have the same generated names in both graphs
    named = {name if "." in name else f"{prefix}/{name}": array for name, array in arrays.items()}
    own = {
        name: array for name, array in named.items() if "branch/" not in name
    }  # an attached embedding's are not ours
    floats = {name: array.astype(np.float32) for name, array in own.items() if array.dtype.kind == "f"}
    return {name: torch.from_numpy(array.copy()) for name, array in floats.items()}


def _sam(tensors: dict[str, Tensor], model: EarVAE) -> dict[str, Tensor]:
    """SAM's tensors in Hugging Face's names: the inverse of `export/graph/sam.py`."""
    sam, grid = model.encoder.sam, model.config.sam.grid_side
    ours, theirs = "encoder.sam.vision.vision_encoder", "encoder.sam"
    std, mean = sam.pixel_std, sam.pixel_mean
    weight = tensors[f"{theirs}.patches.projection.weight"] * 2 * std
    offset = (weight * ((0.5 - mean) / std)).sum(dim=(1, 2, 3))
    found = {
        f"{ours}.patch_embed.projection.weight": weight,
        f"{ours}.patch_embed.projection.bias": tensors[f"{theirs}.patches.projection.bias"] - offset,
        f"{ours}.pos_embed": tensors[f"{theirs}.patches.position"].reshape(1, grid, grid, -1),
        f"{ours}.neck.conv1.weight": tensors[f"{theirs}.neck.conv1.weight"][..., None, None],
        f"{ours}.neck.conv2.weight": tensors[f"{theirs}.neck.conv2.weight"],
    }
    for number in (1, 2):
        for kind in ("weight", "bias"):
            found[f"{ours}.neck.layer_norm{number}.{kind}"] = tensors[f"{theirs}.neck.norm{number}.{kind}"]
    for index, layer in enumerate(sam.vision.vision_encoder.layers):
        found |= _layer(tensors, f"{theirs}.layers.{index}", f"{ours}.layers.{index}", layer.attn.scale)
    return found


def _layer(tensors: dict[str, Tensor], theirs: str, ours: str, scale: float) -> dict[str, Tensor]:
    """One transformer layer."""
    names = {"norm1": "layer_norm1", "norm2": "layer_norm2", "lin1": "mlp.lin1", "lin2": "mlp.lin2",
             "attention.proj": "attn.proj"}  # fmt: skip
    found: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        found |= {f"{ours}.{own}.{kind}": tensors[f"{theirs}.{name}.{kind}"] for name, own in names.items()}
        query, key, value = (tensors[f"{theirs}.attention.{part}.{kind}"] for part in ("query", "key", "value"))
        found[f"{ours}.attn.qkv.{kind}"] = torch.cat([query / scale, key, value])
    for short, long in (("rel_h", "rel_pos_h"), ("rel_w", "rel_pos_w")):
        table = tensors[f"{theirs}.attention.{short}"].transpose(1, 2) * scale  # (query, key, d) of query - key
        below, above = table[0].flip(0), table[1:, 0]  # distances 1 - side ... 0, and 1 ... side - 1
        found[f"{ours}.attn.{long}"] = torch.cat([below, above])
    return found


def _convolutions(tensors: dict[str, Tensor], model: EarVAE) -> dict[str, Tensor]:
    """Convolutions with a batch norm after them: the norm does nothing but add the bias that it was folded into."""
    found: dict[str, Tensor] = {}
    for name, norm in model.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            before = f"{name.rpartition('.')[0]}.{int(name.rpartition('.')[2]) - 1}"
            width = norm.num_features
            found |= {f"{name}.running_mean": torch.zeros(width), f"{name}.running_var": torch.ones(width) - norm.eps}
            found |= {f"{name}.weight": torch.ones(width), f"{name}.bias": tensors[f"{before}.bias"]}
    return found


def _spreads(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The picture's standard deviations, which the graphs hold only within a constant of their arithmetic."""
    if not config.picture_rank:
        return {}
    found: dict[str, Tensor] = {}
    for graph in GRAPHS:
        chosen = [tensor for name, tensor in tensors.items()
                  if name.startswith(f"{graph}/") and tensor.shape == (config.picture_rank,)]  # fmt: skip
        if len(chosen) != 1:
            raise CheckpointError(f"--init-from: the {graph}'s graph holds its components in another form")
        std = LATENT_STD / chosen[0] if graph == "encoder" else chosen[0] * LATENT_STD
        found[f"{graph}.components.std"] = std
    return found


@torch.no_grad()
def settle_batch_norms(model: EarVAE, images: Tensor) -> None:
    """Let every convolution's batch norm know the statistics of these pictures, without changing what it computes.

    Args:
        model: in any mode; comes back in the same.
        images: (N, 3, S, S) float32 in [-1, 1], RGB, on the model's device.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    inputs: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(norm: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        values = arguments[0].transpose(0, 1).flatten(1)
        inputs[norm] = (values.mean(1), values.var(1))

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    training = model.training
    model.eval()(images)
    model.train(training)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in inputs.items():
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        norm.bias.copy_(norm.bias + (mean - norm.running_mean) * scale)
        norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
