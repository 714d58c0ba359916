"""JSON answers, written by orjson: it takes numpy vectors as they are (1024 floats in 50 us, not in a millisecond)."""

from __future__ import annotations

import base64
import time
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from serve.observability.request_context import CURRENT

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Answer(Response):
    """A JSON answer; its content may hold C-contiguous numpy arrays, dataclasses and datetimes.

    Writing it counts as `serialise` of the request that is being answered.
    """

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        started = time.perf_counter()
        body = orjson.dumps(content, option=OPTIONS)
        if (trace := CURRENT.get()) is not None:
            trace.add("serialise", (time.perf_counter() - started) * 1e3)
        return body


def data_uri(png: bytes) -> str:
    """A PNG as a `data:` URI, for JSON answers that carry a picture."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def base64_floats(vector: NDArray[np.float32]) -> str:
    """A vector as base64 of little-endian float32 bytes, as OpenAI's clients ask for by default."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
