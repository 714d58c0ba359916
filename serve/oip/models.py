"""The models that the Open Inference Protocol shows: `ear-encoder`, `ear-image` and `ear-decoder`.

Knows the edges of the bundle's graphs; runs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bundle.golden import SPREAD
from serve.errors import BadRequest, NotHere
from serve.inference.engine import Engine
from serve.oip.answers import Metadata, TensorMetadata
from serve.oip.tensors import Tensor
from serve.oip.wire import InferRequest, RawInput

DETECTED = ("box", "score", "side", "side_probability", "input")
"""Further outputs of ear-image where a request has it detect ears."""
EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics", "parameters")


@dataclass(frozen=True)
class Edge:
    """One input or output: `shape` without the batch dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OipModel:
    """A model as the protocol's clients see it; the first dimension of every tensor is the batch."""

    name: str
    input: Edge
    outputs: tuple[Edge, ...]
    platform: str
    max_batch: int
    space_id: str
    bundle_id: str

    @property
    def version(self) -> str:
        """Its number: see `version_of`."""
        return version_of(self.bundle_id)

    @property
    def raw_input(self) -> RawInput:
        """How a request without JSON is read: the whole body is one element."""
        return RawInput(self.input.name, self.input.datatype, (1, *self.input.shape))

    def metadata(self, versions: Sequence[str]) -> Metadata:
        """The answer of `GET /v2/models/{name}`. versions: all that are loaded, the active one first."""
        outputs = [_meta(edge) for edge in self.outputs]
        return Metadata(self.name, list(versions), self.platform, [_meta(self.input)], outputs, self.parameters)

    @property
    def parameters(self) -> dict[str, str]:
        """Which model this is."""
        return {"space_id": self.space_id, "bundle_id": self.bundle_id}

    def config(self) -> dict[str, Any]:
        """The answer of `GET /v2/models/{name}/config` (Triton's ModelConfig as JSON)."""
        return {
            "name": self.name,
            "platform": self.platform,
            "backend": "onnxruntime" if self.platform.startswith("onnx") else "tensorrt",
            "version_policy": {"specific": {"versions": [int(self.version)]}},
            "parameters": {name: {"string_value": value} for name, value in self.parameters.items()},
            "max_batch_size": self.max_batch,
            "input": [_configured(self.input)],
            "output": [_configured(edge) for edge in self.outputs],
            "dynamic_batching": {},
        }

    def read_input(self, request: InferRequest) -> Tensor:
        """The one input of a request, checked against what this model takes."""
        if set(request.inputs) != {self.input.name}:
            names = sorted(request.inputs)
            raise BadRequest(f"{self.name} takes the one input {self.input.name!r}; given are {names}", "inputs")
        tensor = request.inputs[self.input.name]
        if tensor.datatype != self.input.datatype:
            raise BadRequest(
                f"{tensor.name!r} is {tensor.datatype}; {self.name} takes {self.input.datatype}", tensor.name
            )
        flat_files = self.input.shape == (1,) and len(tensor.shape) == 1
        if not flat_files and (not tensor.shape or tensor.shape[1:] != self.input.shape):
            expected_shape = [-1, *self.input.shape]
            raise BadRequest(
                f"{tensor.name!r} has shape {list(tensor.shape)}; {self.name} takes {expected_shape}", tensor.name
            )
        if not 1 <= tensor.shape[0] <= self.max_batch:
            raise BadRequest(
                f"{tensor.name!r} has a batch of {tensor.shape[0]}; 1 to {self.max_batch} are taken", tensor.name
            )
        return tensor

    def asked_outputs(self, request: InferRequest) -> dict[str, bool]:
        """Output name -> whether it is asked for as binary, in the order asked."""
        allowed_names = [edge.name for edge in self.outputs]
        if self.name == "ear-image" and request.parameters.get("detect"):
            allowed_names += DETECTED
        if unknown := sorted(set(request.wanted) - set(allowed_names)):
            raise BadRequest(f"{self.name} has no output {unknown}; it has {', '.join(allowed_names)}", "outputs")
        return dict(request.wanted) or dict.fromkeys(allowed_names, request.binary_default)


def models_of(engine: Engine, max_batch: int) -> Mapping[str, OipModel]:
    """The models of a loaded bundle, by name."""
    size, dim = engine.framing.size_px, engine.model.latent_dim
    platform = "tensorrt_plan" if engine.model.runtime.startswith("tensorrt") else "onnxruntime_onnx"
    encoded = tuple(Edge(name, "FP32", (dim,)) for name in ("embedding", "mu", "logvar"))
    if engine.model.has_spread:
        encoded += (Edge(SPREAD, "FP32", (1,)),)
    picture = Edge("image", "UINT8", (size, size, 3))
    models = (
        OipModel("ear-encoder", picture, encoded, platform, max_batch, *engine.ids),
        OipModel("ear-image", Edge("image", "BYTES", (1,)), encoded, platform, max_batch, *engine.ids),
        OipModel("ear-decoder", Edge("latent", "FP32", (dim,)), (picture,), platform, max_batch, *engine.ids),
    )
    return {model.name: model for model in models}


def find(models: Mapping[str, OipModel], name: str) -> OipModel:
    """A model by name. Raises NotHere."""
    if name not in models:
        raise NotHere(f"unknown model {name[:80]!r}; there are {', '.join(models)}")
    return models[name]


def version_of(bundle_id: str) -> str:
    """The protocol's version of a bundle. Triton's are numbers, so it is one: the first 32 bits of a digest of its id.

    It is the same in every process, and stays while other bundles come and go.
    """
    return str(int.from_bytes(hashlib.sha256(bundle_id.encode()).digest()[:4], "big"))


def _meta(edge: Edge) -> TensorMetadata:
    return TensorMetadata(edge.name, edge.datatype, [-1, *edge.shape])


def _configured(edge: Edge) -> dict[str, Any]:
    kind = "TYPE_STRING" if edge.datatype == "BYTES" else f"TYPE_{edge.datatype}"
    return {"name": edge.name, "data_type": kind, "dims": list(edge.shape)}
