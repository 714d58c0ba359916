"""The OpenAPI document of an operation, from its definition in `client.operations`: parameters, bodies, answers.

Answers are described, not checked at run time: they are made from the dataclasses that describe them.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

import numpy as np
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, create_model

from client.answers import fields_of
from client.operations import Operation
from client.parameters import cached, parameters_of
from serve.http.parameters import model_of

AnyOperation = Operation[Any, Any]
BINARY = {"type": "string", "format": "binary"}
PICTURE_TEXT = {"type": "string", "description": "a picture: data URI, base64, or a URL that the service may fetch"}


def documented(operation: AnyOperation) -> dict[str, Any]:
    """What FastAPI's `openapi_extra` adds for an operation that reads its request itself."""
    schema = model_of(operation.options).model_json_schema(ref_template="{model}")
    properties = {
        name: _without_default(_inlined(about, schema.get("$defs", {})))
        for name, about in schema.get("properties", {}).items()
    }
    body_only = {name for name, one in parameters_of(operation.options).items() if one.param.body_only}
    required = [name for name, one in parameters_of(operation.options).items() if one.required]
    in_body = operation.method in ("POST", "PATCH", "PUT")
    only_in_body = body_only if operation.pictures or not in_body else set(properties)
    extra: dict[str, Any] = {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": about.get("description", ""),
                "schema": {key: value for key, value in about.items() if key not in ("description", "title")},
            }
            for name, about in properties.items()
            if name not in only_in_body
        ]
    }
    if in_body and (properties or operation.pictures):
        content = _content(operation, properties, body_only, required)
        is_required = bool(operation.pictures or required)
        extra["requestBody"] = {"required": is_required, "content": content, "description": _about(operation)}
    return extra


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    """A schema with the parts that it refers to in their places."""
    if isinstance(schema, list):
        return [_inlined(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"]], parts)
    return {name: _inlined(part, parts) for name, part in schema.items()}


def _without_default(about: dict[str, Any]) -> dict[str, Any]:
    """The default in words: generated clients would send it, beside what the caller puts into another place."""
    default = about.pop("default", None)
    if isinstance(default, str | int | float):
        about["description"] += f" (default {str(default).lower()})"
    return about


def _content(
    operation: AnyOperation, properties: Mapping[str, Any], body_only: set[str], required: list[str]
) -> dict[str, Any]:
    """Every body that an operation takes, by content type."""
    pictures = {name: _listed(BINARY, operation.many) for name in operation.pictures}
    texts = {name: _listed(PICTURE_TEXT, operation.many) for name in operation.pictures if name not in properties}
    needed = [name for name in texts if not body_only] + required
    form = {name: about for name, about in properties.items() if operation.many or name not in body_only}
    content: dict[str, Any] = {}
    if operation.pictures == ("file",):
        content["application/octet-stream"] = {"schema": BINARY}
    if operation.pictures:
        content["multipart/form-data"] = {"schema": _object({**pictures, **form}, [*operation.pictures, *required])}
    return content | {"application/json": {"schema": _object({**texts, **properties}, needed)}}


def _listed(schema: dict[str, Any], many: bool) -> dict[str, Any]:
    return {"type": "array", "items": schema} if many else schema


def _object(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    plain = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return plain | ({"required": required} if required else {})


def _about(operation: AnyOperation) -> str:
    if operation.pictures == ("file",):
        return (
            "a picture as raw bytes, as the field `file` of a form, or as `file` (or `image`) in JSON; parameters may "
            "stand in the query, the form or the JSON"
        )
    return "parameters may stand in the query, a form or the JSON"


@cached
def answer_model(answer: type) -> type[BaseModel]:
    """The pydantic model of an answer's dataclass: arrays as lists of numbers, pictures as `data:` URIs."""
    fields: Any = {
        field.name: (described(fields_of(answer)[field.name]), ... if _is_required(field) else None)
        for field in dataclasses.fields(answer)
    }
    return create_model(answer.__name__, __config__=ConfigDict(extra="allow"), __doc__=answer.__doc__, **fields)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is not None


def described(kind: Any) -> Any:
    """The type of an answer, or of a part of one, as pydantic knows it."""
    if kind is bytes:
        return str
    if get_origin(kind) is np.ndarray:
        return list[float]
    if get_origin(kind) is list:
        return list[described(get_args(kind)[0])]  # type: ignore[misc]
    if get_origin(kind) in (types.UnionType, Union):
        return Union[tuple(described(part) for part in get_args(kind))]  # noqa: UP007  (of a tuple)
    return answer_model(kind) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else kind


def without_422(app: FastAPI) -> dict[str, Any]:
    """The document of an application, without the 422 that FastAPI promises of every route with parameters."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, servers=app.servers
        )
        for methods in document["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema
