"""What the routes share: typed parameters, the key check, how bodies and errors look in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel

from serve.http.api_keys import SCOPES, Scope
from serve.inference.orientation import Side
from serve.observability.request_context import trace_of
from serve.service import service_of

SideParam = Annotated[
    Side, Query(description="side of the ear; unknown: searches try both orientations, other calls take it as posted")
]
BoxParam = Annotated[
    str | None,
    Query(description="ear box x1,y1,x2,y2 in pixels of the upright picture; none: the whole picture is the ear"),
]
DetectParam = Annotated[bool, Query(description="find the ear in a photo first; a box must not be given as well")]
SpaceParam = Annotated[
    str | None,
    Query(max_length=64, description="answer with this space's model, where it is loaded; none: the active one"),
]

PICTURE_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}
PICTURE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "a picture (JPEG, PNG, WebP, GIF, BMP, TIFF) as raw bytes, or as the field `file` of a form",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {"schema": PICTURE_FORM},
        },
    }
}


def json_body(model: type[BaseModel], required: bool = True) -> dict[str, Any]:
    """How the OpenAPI document shows a JSON body that a route reads itself."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
                "request_id": {"type": "string"},
            },
        }
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": ERROR_SCHEMA}}}
    for status, text in {
        400: "the request or its picture cannot be used",
        401: "no known API key",
        403: "the API key lacks the scope",
        404: "not found",
        408: "the body took too long to arrive",
        409: "vectors of another space",
        413: "the body or the picture is too large",
        429: "the queue is full, or the key asked too often",
        503: "not ready, or the runtime hangs",
    }.items()
}

_bearer = HTTPBearer(auto_error=False, description="an API key, where the service has any")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)
_Bearer = Annotated[Any, Depends(_bearer)]  # only for the OpenAPI document: the keyring reads the headers itself
_Header = Annotated[Any, Depends(_header)]


def needs(scope: Scope) -> Any:
    """A route dependency: the request's key must have this scope."""
    return Depends(_CHECKS[scope])


def _check(scope: Scope) -> Callable[..., Coroutine[Any, Any, None]]:
    async def check(request: Request, bearer: _Bearer, header: _Header) -> None:
        service = service_of(request)
        key = service.keyring.admit(request, scope)
        trace_of(request).caller = key.name
        service.rates.count(request, key)

    return check


_CHECKS = {scope: _check(scope) for scope in SCOPES}
