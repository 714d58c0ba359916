"""Tensors of the Open Inference Protocol v2 <-> numpy, as JSON data and as raw little-endian bytes.

Source: the protocol's "Tensor Data" and its binary tensor data extension (KServe, Triton). Knows no model and no HTTP.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as short  # of lists that nest 1,000 deep, which repr() itself does not survive
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.errors import BadRequest

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
BYTES = "BYTES"


@dataclass(frozen=True)
class Tensor:
    """A named tensor; `array` has `shape` and the dtype of `datatype` (objects of type bytes where that is BYTES)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    array: NDArray[Any]


def from_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Tensor:
    """A tensor from JSON `data`, flat or nested, row-major. BYTES elements are text."""
    where = f"data of {name!r}"
    if datatype == BYTES:
        flat = np.array([_text(entry, where) for entry in _flat(data)], dtype=object)
        return Tensor(name, datatype, tuple(shape), _shaped(flat, shape, name))
    try:
        numbers = np.asarray(data)
    except ValueError:
        raise BadRequest(f"{where} is ragged: every row must be as long as the others", name) from None
    if numbers.dtype.kind not in "buif":
        raise BadRequest(f"{where} holds something that is no number", name)
    dtype = DTYPES[datatype]
    with np.errstate(all="ignore"):
        array = numbers.astype(dtype)
    if dtype.kind in "ui?" and not np.array_equal(array, numbers):
        raise BadRequest(f"{where} holds numbers that are no {datatype}", name)
    return Tensor(name, datatype, tuple(shape), _shaped(array.reshape(-1), shape, name))


def from_bytes(name: str, datatype: str, shape: Sequence[int], raw: bytes | memoryview) -> Tensor:
    """A tensor from raw little-endian bytes, row-major."""
    if datatype == BYTES:
        flat = np.array(_split_bytes(raw, name), dtype=object)
    else:
        size = math.prod(shape) * DTYPES[datatype].itemsize
        if len(raw) != size:
            raise BadRequest(f"{name!r} has {len(raw)} bytes; {datatype} {list(shape)} has {size}", name)
        flat = np.frombuffer(raw, DTYPES[datatype])
    return Tensor(name, datatype, tuple(shape), _shaped(flat, shape, name))


def to_bytes(array: NDArray[Any], datatype: str) -> bytes:
    """Raw little-endian bytes of a tensor, row-major."""
    if datatype == BYTES:
        return b"".join(struct.pack("<I", len(entry)) + entry for entry in array.reshape(-1))
    return np.ascontiguousarray(array, DTYPES[datatype]).tobytes()


def check_declared(name: Any, datatype: Any, shape: Any) -> None:
    """Refuse a tensor whose name, datatype or shape are not of the protocol."""
    if not isinstance(name, str) or not name:
        raise BadRequest("every tensor has a name", "inputs")
    if not isinstance(datatype, str) or (datatype != BYTES and datatype not in DTYPES):
        raise BadRequest(f"datatype of {name!r} is {short(datatype)}; known are {', '.join(DTYPES)} and BYTES", name)
    integers = isinstance(shape, list) and all(isinstance(side, int) and not isinstance(side, bool) for side in shape)
    if not integers or any(side < 0 for side in shape) or len(shape) > 8:
        raise BadRequest(f"shape of {name!r} is {short(shape)}; give a list of sizes", name)


def _shaped(flat: NDArray[Any], shape: Sequence[int], name: str) -> NDArray[Any]:
    if flat.size != math.prod(shape):
        raise BadRequest(f"{name!r} has {flat.size} elements; its shape {list(shape)} has {math.prod(shape)}", name)
    try:
        return flat.reshape(shape)
    except ValueError:  # no elements, beside a side past what numpy can count
        raise BadRequest(f"shape of {name!r} is {short(list(shape))}; its sides are too long", name) from None


def _flat(data: Any) -> list[Any]:
    """The leaves of nested lists, in order. Without recursion: how deep they nest is the caller's choice."""
    leaves, waiting = [], [data]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, list):
            waiting.extend(reversed(entry))
        else:
            leaves.append(entry)
    return leaves


def _text(entry: Any, where: str) -> bytes:
    if not isinstance(entry, str):
        raise BadRequest(f"{where} holds {type(entry).__name__}; BYTES as JSON are strings", "data")
    return entry.encode()


def _split_bytes(raw: bytes | memoryview, name: str) -> list[bytes]:
    """Elements of a BYTES tensor: each is its length (uint32, little-endian), then its bytes."""
    found, at, view = [], 0, memoryview(raw)
    while at < len(view):
        if at + 4 > len(view):
            raise BadRequest(f"{name!r} ends within the length of an element", name)
        (length,) = struct.unpack_from("<I", view, at)
        at += 4
        if at + length > len(view):
            raise BadRequest(f"{name!r} ends within an element of {length} bytes", name)
        found.append(bytes(view[at : at + length]))
        at += length
    return found
