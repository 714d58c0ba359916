"""JSON answers, written by orjson: it takes numpy vectors as they are (1024 floats in 50 us, not in a millisecond)."""

from __future__ import annotations

import base64
import dataclasses
import time
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import JSONResponse

from client.parameters import cached
from serve.observability.request_context import CURRENT

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


class Answer(JSONResponse):
    """A JSON answer; its content may hold C-contiguous numpy arrays, dataclasses, PNG files and datetimes.

    A dataclass's field with the default None is left out where it is None. PNG files become `data:` URIs. Writing it
    counts as `serialise` of the request that is being answered.
    """

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        started = time.perf_counter()
        body = orjson.dumps(content, default=_plain, option=OPTIONS)
        if (trace := CURRENT.get()) is not None:
            trace.add("serialise", (time.perf_counter() - started) * 1e3)
        return body


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return data_uri(value)
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is not written as JSON")
    fields = ((name, is_optional, getattr(value, name)) for name, is_optional in _fields(type(value)))
    return {name: part for name, is_optional, part in fields if part is not None or not is_optional}


@cached
def _fields(kind: type) -> tuple[tuple[str, bool], ...]:
    """(name, whether None is left out) of a dataclass's fields."""
    return tuple((field.name, field.default is None) for field in dataclasses.fields(kind))


def data_uri(png: bytes) -> str:
    """A PNG as a `data:` URI, for JSON answers that carry a picture."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def base64_floats(vector: NDArray[np.float32]) -> str:
    """A vector as base64 of little-endian float32 bytes, as OpenAI's clients ask for by default."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
