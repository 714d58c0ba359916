"""Flags of `ear-teacher call` from the parameters of an operation: names, types, choices, bounds and help."""

from __future__ import annotations

import argparse
import types
from collections.abc import Collection
from typing import Any, Literal, Union, get_args, get_origin

from client.options import Box, Detect
from client.parameters import Parameter, parameters_of


def add_flags(parser: argparse.ArgumentParser, options: type, leave_out: Collection[str] = ()) -> None:
    """A flag for each parameter that a shell can give; names in `leave_out` are given otherwise."""
    for name, parameter in parameters_of(options).items():
        if name not in leave_out and not parameter.param.body_only:
            flags = ([parameter.param.flag] if parameter.param.flag else []) + [f"--{name.replace('_', '-')}"]
            parser.add_argument(*flags, dest=name, default=argparse.SUPPRESS, **_about(parameter))


def options_of(arguments: argparse.Namespace, options: type) -> Any:
    """The parameters that were given as flags; what was not given is left to the service."""
    return {name: value for name, value in vars(arguments).items() if name in parameters_of(options)}


def _about(parameter: Parameter) -> dict[str, Any]:
    """How argparse reads the flag of a parameter."""
    param, kind = parameter.param, _without_none(parameter.kind)
    default = f" (default {param.default})" if isinstance(param.default, int | float | str) else ""
    about: dict[str, Any] = {"help": (param.description + _bounds(parameter) + default).replace("%", "%%")}
    if kind is bool:
        return {"action": "store_true", **about}
    if kind == Detect:
        return {"nargs": "?", "const": True, "choices": (True, "all"), "type": _detect, **about}
    if kind == Box:
        return {"type": _box, "metavar": "X1,Y1,X2,Y2", **about}
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind), **about}
    if get_args(kind) and get_origin(kind) not in (types.UnionType, Union):
        return {"action": "append", "metavar": parameter.name.upper(), **about}
    return {"type": kind if kind in (int, float) else str, "metavar": parameter.name.upper(), **about}


def _bounds(parameter: Parameter) -> str:
    low = parameter.param.ge if parameter.param.ge is not None else parameter.param.gt
    high = parameter.param.le if parameter.param.le is not None else parameter.param.lt
    return f", {low:g} to {high:g}" if low is not None and high is not None else ""


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (types.UnionType, Union):
        parts = [part for part in get_args(kind) if part is not type(None)]
        return parts[0] if len(parts) == 1 else kind
    return kind


def _detect(text: str) -> bool | str:
    return True if text == "true" else text


def _box(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError("give four numbers: x1,y1,x2,y2")
    return numbers
