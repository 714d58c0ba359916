"""The aligned embedding that a run carries through to export: out of the bundle or the checkpoint that it starts from.

A bundle's encoder holds the branch under the prefix `branch/`, its batch norms folded into convolutions; they come back
as norms that do nothing but add a bias. Knows no trainer.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bundle.manifest import read_manifest
from training.checkpoint import read_checkpoint
from training.embedding.branch import EarBranch, SavedBranch, pack_branch
from training.errors import CheckpointError

PREFIX = "branch/"
"""Of the branch's tensors in an encoder graph."""


def carried_branch(source: Path) -> dict[str, Any] | None:
    """The branch of a checkpoint or a bundle's folder, as a checkpoint keeps it; None where it has none."""
    if not source.is_dir():
        return read_checkpoint(source).branch
    saved = branch_of(source)
    return None if saved is None else pack_branch(saved.branch, saved.facts)


def branch_of(bundle: Path) -> SavedBranch | None:
    """The branch that a bundle's embedding is computed by; None where the embedding is an affine map of mu.

    Raises:
        CheckpointError: the graph holds it in a form that cannot be undone.
    """
    facts = dict(read_manifest(bundle).training.get("embedding", {}))
    tensors = _tensors(bundle / "encoder.onnx")
    if "project.weight" not in tensors:
        return None
    branch = EarBranch(len(tensors["project.weight"]), "identity.head.weight" in tensors)
    state = branch.state_dict()
    for name, norm in branch.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            convolution, number = name.rsplit(".", 1)
            tensors[f"{name}.bias"] = tensors.pop(f"{convolution}.{int(number) - 1}.bias", torch.zeros(0))
            tensors[f"{name}.weight"] = torch.full_like(norm.weight, math.sqrt(1 + norm.eps))
            tensors |= {f"{name}.{what}": state[f"{name}.{what}"] for what in ("running_mean", "running_var")}
    for name, own in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if (tensor := tensors.get(name)) is None or tensor.shape != own.shape:
            raise CheckpointError(f"{bundle}: its encoder holds {PREFIX}{name} in another form; give the branch file")
        state[name] = tensor
    branch.load_state_dict(state)
    facts.pop("mu_space_id", None)
    return SavedBranch(branch.eval().requires_grad_(False), facts, None)


def _tensors(encoder: Path) -> dict[str, Tensor]:
    """The branch's tensors in a graph, float32, by their names in `EarBranch`, whatever it was exported in."""
    import onnx

    if not encoder.is_file():
        raise CheckpointError(f"{encoder.parent}: has no float32 {encoder.name}")
    by_name = {}
    for tensor in onnx.load(str(encoder)).graph.initializer:
        if tensor.name.startswith(PREFIX):
            array = onnx.numpy_helper.to_array(tensor)
            if array.dtype.kind == "f":
                name = tensor.name.removeprefix(PREFIX).removeprefix("branch.").removesuffix(".float16")
                by_name[name] = torch.from_numpy(np.array(array, np.float32))
    return by_name
