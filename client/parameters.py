"""How a request parameter is described: once, as an annotation of a typed dictionary in `client.options`.

The service builds its checks and its OpenAPI document from these descriptions, the clients their signatures and
requests, `ear-teacher call` its flags. Knows no route and no HTTP.
"""

from __future__ import annotations

import json
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def cached(function: FunctionT) -> FunctionT:
    """`functools.cache`, for functions of types: to mypy a type is not hashable."""
    return cast(FunctionT, cache(function))


@dataclass(frozen=True)
class Param:
    """What a parameter means and which values are allowed.

    default: the service's, where the caller gives none (None: absent). ge, le, gt, lt: bounds. min_length, max_length:
    of text and lists. commas: a list may come as one text with commas. body_only: too large for an address: JSON (or
    the field of a form) only. flag: a short flag of `ear-teacher call`.
    """

    description: str
    default: Any = None
    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    commas: bool = False
    body_only: bool = False
    flag: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation: its name, its type, its description; required: callers must give it."""

    name: str
    kind: Any
    param: Param
    required: bool

    @property
    def is_nullable(self) -> bool:
        """Whether null is a value of its own (elsewhere null is the same as absent)."""
        return get_origin(self.kind) in (types.UnionType, Union) and type(None) in get_args(self.kind)


@cached
def parameters_of(options: type) -> Mapping[str, Parameter]:
    """The parameters that a typed dictionary describes, by name, inherited ones first."""
    hints = get_type_hints(options, include_extras=True)
    required: frozenset[str] = options.__required_keys__  # type: ignore[attr-defined]  # of every TypedDict
    return {name: _parameter(name, hint, name in required) for name, hint in hints.items()}


def _parameter(name: str, hint: Any, required: bool) -> Parameter:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"parameter {name!r} has no description; write Annotated[{hint}, Param(...)]")
    kind, param = get_args(hint)
    return Parameter(name, kind, param, required)


def text_of(value: Any) -> Any:
    """A value as addresses and forms carry it: a box as x1,y1,x2,y2, true and false, lists as several values; a list of
    objects as JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and value and all(isinstance(part, int | float) for part in value):
        return ",".join(f"{part:g}" for part in value)
    if isinstance(value, list | tuple) and value and all(isinstance(part, Mapping) for part in value):
        return json.dumps(json_of(value))
    if isinstance(value, list | tuple):
        return [text_of(part) for part in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def json_of(value: Any) -> Any:
    """A value as JSON carries it: arrays as lists of numbers, paths as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [json_of(part) for part in value]
    if isinstance(value, Mapping):
        return {name: json_of(part) for name, part in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value
