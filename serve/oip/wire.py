"""Inference requests and responses of the Open Inference Protocol v2: one JSON document, then raw tensors.

The header `Inference-Header-Content-Length` says where the JSON ends (0: the body is one raw
tensor without JSON; absent: all of it is JSON). Knows no model; `serve.oip.models` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any

import orjson

from serve.errors import BadRequest
from serve.http.request_body import json_object, whole_number
from serve.oip.tensors import BYTES, Tensor, check_declared, from_bytes, from_json, to_bytes

LENGTH_HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class InferRequest:
    """A parsed request. wanted: output name -> whether as binary; empty: all outputs, as binary_default."""

    inputs: Mapping[str, Tensor]
    wanted: Mapping[str, bool] = field(default_factory=dict)
    binary_default: bool = False
    id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawInput:
    """The single input of a model as raw requests fill it: without JSON, one element, batch 1."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def parse_request(body: bytes, json_length: str | None, raw: RawInput) -> InferRequest:
    """The request in `body`. json_length: value of LENGTH_HEADER. raw: how the model reads a request without JSON."""
    if json_length is None:
        return _from_document(json_object(body), memoryview(b""))
    split = whole_number(json_length)
    if split is None or split > len(body):
        raise BadRequest(f"{LENGTH_HEADER} is {json_length[:20]!r}; the body has {len(body)} bytes", LENGTH_HEADER)
    if split == 0:
        return _raw_request(body, raw)
    return _from_document(json_object(body[:split]), memoryview(body)[split:])


def _raw_request(body: bytes, raw: RawInput) -> InferRequest:
    if raw.datatype == BYTES:
        body = len(body).to_bytes(4, "little") + body
    tensor = from_bytes(raw.name, raw.datatype, raw.shape, body)
    return InferRequest({raw.name: tensor}, binary_default=True)


def _from_document(document: dict[str, Any], tail: memoryview) -> InferRequest:
    inputs, used = {}, 0
    for entry in _objects(document, "inputs"):
        size = _parameters(entry).get("binary_data_size", 0)
        tensor = _input(entry, tail[used : used + size] if isinstance(size, int) and size >= 0 else tail[:0])
        used += size if isinstance(size, int) else 0
        inputs[tensor.name] = tensor
    if used != len(tail):
        raise BadRequest(f"{len(tail)} bytes follow the JSON; its inputs name {used}", "inputs")
    default = _parameters(document).get("binary_data_output") is True
    wanted = {
        _name(entry): _parameters(entry).get("binary_data", default) is True for entry in _objects(document, "outputs")
    }
    given_id = document.get("id")
    request_id = given_id if isinstance(given_id, str) else None
    return InferRequest(inputs, wanted, default, request_id, _parameters(document))


def _input(entry: dict[str, Any], raw: memoryview) -> Tensor:
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    check_declared(name, datatype, shape)
    size = _parameters(entry).get("binary_data_size")
    if size is None:
        if "data" not in entry:
            raise BadRequest(f"input {name!r} has neither data nor binary_data_size", str(name))
        return from_json(name, datatype, shape, entry["data"])  # type: ignore[arg-type]  # check_declared saw to it
    if "data" in entry:
        raise BadRequest(f"input {name!r} has both data and binary_data_size", str(name))
    if not isinstance(size, int) or size != len(raw):
        raise BadRequest(f"binary_data_size of {name!r} is {short(size)}; {len(raw)} bytes are left", str(name))
    return from_bytes(name, datatype, shape, raw)  # type: ignore[arg-type]


def _name(output: dict[str, Any]) -> str:
    name = output.get("name")
    if not isinstance(name, str):
        raise BadRequest(f"an output's name is {short(name)}; it is text", "outputs")
    return name


def _objects(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = document.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadRequest(f"{name} is not a list of objects", name)
    return entries


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BadRequest("parameters is not an object", "parameters")
    return parameters


def build_response(head: dict[str, Any], tensors: list[Tensor], binary: Mapping[str, bool]) -> tuple[bytes, int | None]:
    """The body of a response, and the length of its JSON where raw tensors follow it (None where it is all JSON)."""
    outputs, tail = [], []
    for tensor in tensors:
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if binary.get(tensor.name):
            raw = to_bytes(tensor.array, tensor.datatype)
            output["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            flat = tensor.array.reshape(-1)
            output["data"] = [entry.decode() for entry in flat] if tensor.datatype == BYTES else flat
        outputs.append(output)
    document = orjson.dumps({**head, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([document, *tail]), len(document)) if tail else (document, None)
