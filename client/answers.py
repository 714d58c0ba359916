"""JSON answers -> the dataclasses of `client.models` and `client.gallery_models`, by the types of their fields.

Arrays come as lists of numbers, pictures as `data:` URIs. Fields that this version does not know are left out: a newer
service may answer more.
"""

from __future__ import annotations

import base64
import dataclasses
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from client.parameters import cached

AnswerT = TypeVar("AnswerT")


def answer_of(kind: type[AnswerT], body: Any) -> AnswerT:
    """A JSON value as `kind`. Raises KeyError and TypeError where the service answered something else."""
    answer: AnswerT = _read(kind, body)
    return answer


def _read(kind: Any, value: Any) -> Any:
    if value is None or kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (types.UnionType, Union):
        chosen = [part for part in get_args(kind) if part is not type(None)]
        return _read(chosen[0], value) if len(chosen) == 1 else value
    if origin is list:
        return [_read(get_args(kind)[0], part) for part in value]
    if origin is np.ndarray:
        return np.asarray(value, np.float32)
    if kind is bytes:
        return base64.b64decode(value.partition(",")[2])
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        values = {name: _read(hint, value[name]) for name, hint in fields_of(kind).items() if name in value}
        return kind(**values)
    return value


@cached
def fields_of(kind: type) -> dict[str, Any]:
    """Name -> type of the fields of a dataclass."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
