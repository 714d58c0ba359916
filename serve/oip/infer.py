"""Runs an inference request of the Open Inference Protocol on the engine. Knows the three models, not HTTP."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping
from reprlib import repr as short
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from serve.errors import BadRequest
from serve.http.multipart import parse_box
from serve.inference.decode_pool import DecodePool, oriented
from serve.inference.engine import Encoded, Engine
from serve.inference.orientation import Side
from serve.observability.request_context import Trace
from serve.oip.models import OipModel
from serve.oip.tensors import Tensor
from serve.oip.wire import InferRequest


async def infer(
    trace: Trace, engine: Engine, intake: DecodePool, model: OipModel, request: InferRequest
) -> list[Tensor]:
    """All outputs of the model for this request; request parameters `side` and `box` frame the pictures."""
    tensor = model.read_input(request)
    if model.name == "ear-decoder":
        pictures = await engine.decode(trace, list(tensor.array))
        return [_tensor(model, {"image": np.stack(pictures)}, "image")]
    crops = await _crops(trace, engine, intake, model, tensor, request.parameters)
    engine.encoder.check_room(len(crops))
    encoded = await engine.encode(trace, crops)
    columns = {name: np.stack([getattr(one, name) for one in encoded]) for name in Encoded.__annotations__}
    return [_tensor(model, columns, edge.name) for edge in model.outputs]


async def _crops(
    trace: Trace, engine: Engine, intake: DecodePool, model: OipModel, tensor: Tensor, parameters: Mapping[str, Any]
) -> list[NDArray[np.uint8]]:
    side = _side(parameters)
    if model.name == "ear-encoder":
        return [oriented(crop, side) for crop in tensor.array]
    given = parameters.get("box")
    if not isinstance(given, str | None):
        raise BadRequest(f"parameter box is {short(given)}; give text: 'x1,y1,x2,y2' in pixels", "box")
    box = parse_box(given)
    files = [_file(data) for data in tensor.array.reshape(-1)]
    return await asyncio.gather(*(intake.crop(trace, file, side, box, engine.framing) for file in files))


def _side(parameters: Mapping[str, Any]) -> Side:
    side = parameters.get("side", "unknown")
    if side not in get_args(Side):
        raise BadRequest(f"parameter side is {short(side)}; allowed are left, right and unknown", "side")
    return cast(Side, side)


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
