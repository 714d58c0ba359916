"""The parameters of `client.options` as the service reads them: checked, from query, form and JSON alike.

A name that an operation does not have, one that is given in two places, and a value that is not understood are errors
that name the allowed ones. JSON's null is the same as absent, unless the parameter's type allows None.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, is_typeddict

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from client.options import Box, Folder
from client.parameters import Parameter, cached, parameters_of
from serve.errors import BadRequest

OptionsT = TypeVar("OptionsT")
BOX_PATTERN = r"^ *-?[0-9.e+-]+ *(, *-?[0-9.e+-]+ *){3}$"
CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)


def checked(options: type[OptionsT], places: Mapping[str, Mapping[str, Any]], others: Sequence[str] = ()) -> OptionsT:
    """The parameters of an operation, defaults filled in; one without a default that nobody gave is absent.

    places: by where they were given (query, form: lists of texts; JSON: anything). others: names that may stand beside
    them, which the message about an unknown one names too. Raises BadRequest.
    """
    parameters = parameters_of(options)
    values: dict[str, Any] = {}
    for place, values_here in places.items():
        for name, value in values_here.items():
            if name not in parameters:
                allowed = ", ".join([*others, *parameters]) or "none"
                raise BadRequest(f"the {place} has {name[:80]!r}, which is not read here; allowed are {allowed}", name)
            if name in values:
                raise BadRequest(f"{name} is given twice, the second time in the {place}; give it once", name)
            value = value if place == "JSON" else _text(parameters[name], value)
            if value is not None or parameters[name].is_nullable:
                values[name] = value
    try:
        model = model_of(options).model_validate(values)
    except ValidationError as error:
        raise bad_request(error.errors(include_url=False)) from None
    read = {
        name: getattr(model, name)
        for name, parameter in parameters.items()
        if name in values or parameter.param.default is not None
    }
    return cast(OptionsT, read)


def bad_request(errors: Any) -> BadRequest:
    """The first of pydantic's or FastAPI's errors, in words."""
    first = errors[0]
    places = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    name = places[0] if places else "body"
    value = first.get("input")
    shown = f", given {value!r:.80}" if isinstance(value, (str, int, float, bool)) else ""
    return BadRequest(f"{'.'.join(places) or name}: {first['msg'].removeprefix('Value error, ')}{shown}", name)


@cached
def model_of(options: type) -> type[BaseModel]:
    """The pydantic model of a typed dictionary of parameters."""
    fields: Any = {name: (_kind(parameter), _field(parameter)) for name, parameter in parameters_of(options).items()}
    return create_model(options.__name__, __config__=CONFIG, __doc__=options.__doc__, **fields)


def floats(values: Sequence[float]) -> NDArray[np.float32]:
    """Numbers as float32; one too large becomes infinite, which the taker of the vector refuses."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


def parse_box(text: Any) -> Any:
    """`x1,y1,x2,y2` in pixels of the upright picture. Raises ValueError."""
    if not isinstance(text, str):
        return text
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise ValueError("give four numbers x1,y1,x2,y2 in pixels")
    return numbers


def _text(parameter: Parameter, values: Sequence[Any]) -> Any:
    """The value of a query or a form, where everything is text and may be repeated."""
    if any(value == "" for value in values):
        raise BadRequest(f"{parameter.name} is empty; give a value, or leave it out", parameter.name)
    if _is_list(parameter.kind):
        return list(values)
    if len(values) > 1:
        raise BadRequest(f"{parameter.name} is given {len(values)} times; give it once", parameter.name)
    return values[0]


def _field(parameter: Parameter) -> Any:
    param = parameter.param
    bounds = {name: getattr(param, name) for name in ("ge", "le", "gt", "lt", "min_length", "max_length")}
    about = {name: bound for name, bound in bounds.items() if bound is not None}
    default = ... if parameter.required else param.default
    return Field(default, description=param.description, **about)


def _kind(parameter: Parameter) -> Any:
    """The type of a parameter, as pydantic checks it."""
    kind = parameter.kind
    if kind == Box:
        schema = {"type": "string", "pattern": BOX_PATTERN, "examples": ["10,20,110,170"]}
        return Annotated[kind, BeforeValidator(parse_box), WithJsonSchema(schema)]
    if kind == Folder:
        return str
    if get_origin(kind) is np.ndarray:
        return Annotated[list[float], AfterValidator(floats)]
    if _is_list(kind) and get_origin(get_args(kind)[0]) is np.ndarray:
        return Annotated[list[list[float]], AfterValidator(lambda rows: [floats(row) for row in rows])]
    if _is_list(kind) and is_typeddict(element := get_args(kind)[0]):
        return Annotated[list[model_of(element)], BeforeValidator(_objects), AfterValidator(_given)]  # type: ignore[misc]
    if _is_list(kind):
        before = BeforeValidator(_split if parameter.param.commas else _listed)
        return Annotated[_as_list(kind), before]
    return kind


def _is_list(kind: Any) -> bool:
    if get_origin(kind) in (types.UnionType, Union):
        return any(_is_list(part) for part in get_args(kind))
    return isinstance(origin := get_origin(kind), type) and issubclass(origin, Sequence) and origin is not tuple


def _as_list(kind: Any) -> Any:
    if get_origin(kind) in (types.UnionType, Union):
        return list[get_args(get_args(kind)[0])[0]] | None  # type: ignore[misc]
    return list[get_args(kind)[0]]  # type: ignore[misc]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _objects(value: Any) -> Any:
    """A list of objects, which a form holds as JSON; their nulls are absent."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | bytes):
        try:
            value = orjson.loads(value[0])
        except orjson.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError("give a JSON list of objects")
    return [{name: part for name, part in one.items() if part is not None} for one in value]


def _given(models: Sequence[BaseModel]) -> list[dict[str, Any]]:
    """What was given of each, and the defaults."""
    return [{name: part for name, part in vars(model).items() if part is not None} for model in models]


def _split(value: Any) -> Any:
    """Texts with commas as the parts between them, each once."""
    texts = _listed(value)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return value
    return list(dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip()))
