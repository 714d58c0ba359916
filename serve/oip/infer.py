"""Runs an inference request of the Open Inference Protocol on the engine. Knows the three models, not HTTP."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.options import FramingOptions
from serve.http.parameters import checked
from serve.inference.decode_pool import DecodePool, oriented
from serve.inference.encoded import Encoded
from serve.inference.engine import Engine
from serve.inference.framed_ears import FramedEars, check_room, ears_asked_for, encoded_ears
from serve.inference.together import together
from serve.observability.request_context import Trace
from serve.oip.models import OipModel
from serve.oip.tensors import Tensor
from serve.oip.wire import InferRequest

PROTOCOL = frozenset({"binary_data_output", "headers", "priority", "timeout"})
"""Request parameters of the protocol; like those that begin with sequence_ and triton_, they mean nothing here."""


async def infer(
    trace: Trace, engine: Engine, decode_pool: DecodePool, model: OipModel, tensor: Tensor, options: FramingOptions
) -> list[Tensor]:
    """All outputs of the model for its input tensor. options: how pictures are framed.

    With detect, ear-image has the outputs box, score, side, side_probability and input (which picture an ear is of)
    besides; with detect=all a row for each ear.
    """
    if model.name == "ear-decoder":
        pictures = await engine.decode(trace, list(tensor.array))
        return [_tensor(model, {"image": np.stack(pictures)}, "image")]
    if model.name == "ear-encoder":
        engine.encoder.check_room(len(tensor.array))
        return _columns(model, await engine.encode(trace, [oriented(crop, options["side"]) for crop in tensor.array]))
    files = [_file(data) for data in tensor.array.reshape(-1)]
    detect = options["detect"]
    check_room(engine, len(files), detect)
    jobs = (ears_asked_for(decode_pool, engine, trace, file, options) for file in files)
    framed = await together(jobs)
    ears = [ear for picture in framed for ear in picture.ears]
    outputs = _columns(model, await encoded_ears(engine, trace, ears))
    return outputs + (_detected(framed) if detect else [])


def options_of(request: InferRequest) -> FramingOptions:
    """How the pictures of a request are framed. Raises BadRequest for a parameter that is not known."""
    ours = {
        name: value
        for name, value in request.parameters.items()
        if name not in PROTOCOL and not name.startswith(("sequence_", "triton_"))
    }
    return checked(FramingOptions, {"JSON": ours})


def _columns(model: OipModel, encoded: Sequence[Encoded]) -> list[Tensor]:
    columns = {
        edge.name: np.stack([np.reshape(getattr(one, edge.name), edge.shape) for one in encoded])
        for edge in model.outputs
    }
    return [_tensor(model, columns, edge.name) for edge in model.outputs]


def _detected(framed: Sequence[FramedEars]) -> list[Tensor]:
    """A row for each ear."""
    ears = [(number, ear) for number, picture in enumerate(framed) for ear in picture.ears]
    seen = [ear.detected for _, ear in ears if ear.detected is not None]
    columns: dict[str, tuple[str, NDArray[Any]]] = {
        "box": ("FP32", np.array([ear.box for ear in seen], np.float32)),
        "score": ("FP32", np.array([[ear.score] for ear in seen], np.float32)),
        "side": ("BYTES", np.array([[ear.side.encode()] for ear in seen], object)),
        "side_probability": ("FP32", np.array([[ear.side_probability] for ear in seen], np.float32)),
        "input": ("INT32", np.array([[number] for number, _ in ears], np.int32)),
    }
    return [Tensor(name, datatype, array.shape, array) for name, (datatype, array) in columns.items()]


def _file(data: bytes) -> bytes:
    """A picture file; JSON cannot carry one, so text is taken for its base64 (a data URI too)."""
    if not data.isascii():
        return data
    try:
        return b64decode(data.rpartition(b",")[2], validate=True) or data
    except binascii.Error:
        return data


def _tensor(model: OipModel, columns: Mapping[str, NDArray[Any]], name: str) -> Tensor:
    edge = next(edge for edge in model.outputs if edge.name == name)
    return Tensor(name, edge.datatype, columns[name].shape, columns[name])
