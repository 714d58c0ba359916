"""The encoder's ONNX graph with another embedding: the aligned branch in the place of the identity head."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from onnx import compose
from torch import nn

from bundle.golden import SPREAD
from export.graph.fp16 import store_half
from export.graph.onnx_export import GraphSpec, check_onnx, export_onnx
from export.graph.rewrite import fold_batch_norms
from export.graph.wrappers import ENCODER_INPUT, ENCODER_OUTPUTS
from training.embedding.branch import EarBranch
from training.embedding.carried import PREFIX

EMBEDDING = ENCODER_OUTPUTS[0]
OWN = (EMBEDDING, SPREAD)
"""What the branch gives."""


def replace_embedding(encoder: Path, branch: EarBranch, path: Path) -> None:
    """Write to `path` the graph of `encoder` whose outputs `embedding` and `spread` are of `branch`, all in float32.

    `spread` comes last, so that the others keep their places.
    Weights of the branch lie on disk as float16 where that loses nothing. Raises GraphError.
    """
    graph = onnx.load(str(encoder))
    opset = next(item.version for item in graph.opset_import if item.domain == "")
    _drop_outputs(graph, OWN)
    own = path.with_name(f".{path.name}.branch")
    try:
        spec = GraphSpec("branch", ENCODER_INPUT, (128, 128, 3), torch.uint8, OWN, opset)
        folded = copy.deepcopy(branch)
        fold_batch_norms(folded)
        export_onnx(BranchGraph(folded), spec, own)
        store_half(own, most_error=0.0)
        added = compose.add_prefix(onnx.load(str(own)), PREFIX)
    finally:
        own.unlink(missing_ok=True)
    renamed = {PREFIX + name: name for name in (ENCODER_INPUT, *OWN)}
    for node in added.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    graph.graph.node.extend(added.graph.node)
    graph.graph.initializer.extend(added.graph.initializer)
    batch = graph.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    for output, name in zip(added.graph.output, OWN, strict=True):
        output.name = name
        output.type.tensor_type.shape.dim[0].dim_param = batch
    embedding, spread = added.graph.output
    outputs = [embedding, *graph.graph.output, spread]
    del graph.graph.output[:], graph.graph.value_info[:]
    graph.graph.output.extend(outputs)
    onnx.save(graph, str(path))
    check_onnx(path, GraphSpec("encoder", ENCODER_INPUT, (128, 128, 3), torch.uint8, (*ENCODER_OUTPUTS, SPREAD), opset))


class BranchGraph(nn.Module):
    """Crops -> embedding, spread: `EarBranch.embed` as a graph of its own."""

    def __init__(self, branch: EarBranch) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 128, 128, 3) uint8 -> (B, D) float32 of unit length, (B,) float32."""
        return self.branch.embed(image)


def _drop_outputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Remove outputs and every node and weight that only they need."""
    graph = model.graph
    kept = [output for output in graph.output if output.name not in names]
    needed = {output.name for output in kept}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.output[:], graph.node[:], graph.initializer[:]
    graph.output.extend(kept)
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(weights)
