"""JSON bodies -> checked values, with errors that name the field. Bodies are read raw: clients often name no type."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from serve.errors import BadRequest

ModelT = TypeVar("ModelT", bound=BaseModel)
WHOLE_NUMBER = re.compile("[0-9]{1,18}")


async def read_json(request: Request, model: type[ModelT]) -> ModelT:
    """The body as `model`. Raises BadRequest with the first thing that is wrong."""
    body = await request.body()
    if not body:
        raise BadRequest("the body is empty; send JSON", "body")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise bad_request(error.errors(include_url=False)) from None


def bad_request(errors: Any) -> BadRequest:
    """The first of pydantic's or FastAPI's errors, in words."""
    first = errors[0]
    places = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    where = ".".join(places) or "body"
    given = first.get("input")
    shown = f", given {given!r:.80}" if isinstance(given, (str, int, float, bool)) else ""
    return BadRequest(f"{where}: {first['msg']}{shown}", where)


def whole_number(text: str) -> int | None:
    """A header's count; None where it is none. `str.isdigit` takes '²', and int() refuses thousands of digits."""
    return int(text) if WHOLE_NUMBER.fullmatch(text) else None


def floats(values: list[float]) -> NDArray[np.float32]:
    """Numbers as float32; one too large becomes infinite, which whoever takes the vector refuses."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)
