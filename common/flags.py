"""Command-line flags out of a configuration's dataclass: each field says its help, its group and its choices once.

A flag that is not given stays absent from the namespace, so that the dataclass' own default holds. Knows no verb.
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def setting(
    default: Any = dataclasses.MISSING, help: str = "", group: str = "", *, choices: tuple[str, ...] = (), **more: Any
) -> Any:
    """A dataclass field that is a flag too.

    Args:
        default: as for `dataclasses.field`; a callable is a default factory.
        help: one line; the default is appended to it.
        group: the heading in `--help` under which it stands.
        choices: allowed values.
        more: `least` (>=), `above` (>) and `below` (<) bound a number; `metavar` and `default_help`, which stands for
            the default's value, are for `--help`.
    """
    metadata = {"help": help, "group": group, "choices": choices, **more}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """The command line's spelling of a field."""
    return "--" + name.replace("_", "-")


def flag_fields(config: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields made by `setting` that have a help text, by name."""
    return {item.name: item for item in dataclasses.fields(config) if item.metadata.get("help")}


def problem(config: Any, suffix: str = "") -> str | None:
    """What is wrong with the values of a dataclass made of `setting`s, naming the flag; None where nothing is."""
    for name, item in flag_fields(type(config)).items():
        value, meta = getattr(config, name), item.metadata
        if value is None:
            continue
        if meta["choices"] and value not in meta["choices"]:
            return f"{flag(name + suffix)} {value!r}: must be one of {', '.join(meta['choices'])}"
        low, above, high = meta.get("least"), meta.get("above"), meta.get("below")
        if (
            low is not None
            and value < low
            or above is not None
            and value <= above
            or high is not None
            and value >= high
        ):
            return f"{flag(name + suffix)} {value}: must be {_bounds(low, above, high)}"
    return None


def _bounds(low: float | None, above: float | None, high: float | None) -> str:
    if high is not None:
        return f"from {low} to below {high}"
    if above is not None:
        return f"above {above}"
    return "0 or more" if low == 0 else f"at least {low}"


def add_flags(parser: argparse.ArgumentParser, config: type, groups: Mapping[str, Any], suffix: str = "") -> None:
    """Add a flag for every field of `config` whose group is in `groups`.

    Args:
        parser: made with `argument_default=argparse.SUPPRESS`.
        config: a dataclass whose fields are made by `setting`.
        groups: what `parser.add_argument_group` gave, by the name that fields use.
        suffix: appended to the fields' names, as `_weight`.
    """
    hints = typing.get_type_hints(config)
    for name, item in flag_fields(config).items():
        if (group := groups.get(item.metadata["group"])) is not None:
            group.add_argument(flag(name + suffix), **_options(item, hints[name]))


def _options(item: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    kind, many = _kind(hint)
    options: dict[str, Any] = {"help": _help(item)}
    if kind is bool:
        return {**options, "action": "store_true", "default": argparse.SUPPRESS}
    options["type"] = kind
    if item.metadata["choices"]:
        options["choices"] = item.metadata["choices"]
    elif metavar := item.metadata.get("metavar"):
        options["metavar"] = metavar
    return options | ({"nargs": "+"} if many else {})


def _kind(hint: Any) -> tuple[type, bool]:
    """The type that a value on the command line becomes, and whether there may be several."""
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return hint if hint in (int, float, bool, Path) else str, False


def _help(item: dataclasses.Field[Any]) -> str:
    text: str = item.metadata["help"]
    shown = item.metadata.get("default_help")
    if shown is None and not isinstance(item.default, (bool, type(None))) and item.default is not dataclasses.MISSING:
        shown = f"{item.default:g}" if isinstance(item.default, float) else str(item.default)
    return (f"{text} (default {shown})" if shown else text).replace("%", "%%")
