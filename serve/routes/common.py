"""What the routes share: how an operation becomes a route, its key check, its request read, its documented errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.security import APIKeyHeader, HTTPBearer

from client import operations
from client.operations import Operation
from client.options import LimitOptions, PictureFormat
from client.parameters import parameters_of
from client.service_models import ErrorAnswer
from serve.errors import BadRequest
from serve.http.api_keys import SCOPES, Scope
from serve.http.image_inputs import Remote, picture_of
from serve.http.openapi import BINARY, answer_model, documented
from serve.http.parameters import checked
from serve.http.request_body import Body, read_body
from serve.http.responses import Answer
from serve.inference.framed_ears import Limits
from serve.inference.together import together
from serve.observability.request_context import trace_of
from serve.service import Service, service_of

OptionsT = TypeVar("OptionsT")
HandlerT = TypeVar("HandlerT", bound=Callable[..., Coroutine[Any, Any, Response]])
_NAMES = {id(value): name.lower() for name, value in vars(operations).items() if isinstance(value, Operation)}
PNG = {"image/png": {"schema": BINARY}}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "model": answer_model(ErrorAnswer)}
    for status, text in {
        400: "the request or its picture cannot be used",
        401: "no API key, or one that is not known",
        403: "the API key lacks the scope",
        404: "not found",
        408: "the body took too long to arrive",
        409: "vectors of another space, or not in this state",
        413: "the body or the picture is too large",
        422: "the picture is below min_quality or min_score",
        429: "the queue is full, or the key asked too often",
        503: "not ready, or the runtime hangs",
    }.items()
}

_bearer = HTTPBearer(auto_error=False, description="an API key, where the service has any")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)
_Bearer = Annotated[Any, Depends(_bearer)]  # only for the OpenAPI document: the keyring reads the headers itself
_Header = Annotated[Any, Depends(_header)]


@dataclass(frozen=True)
class Received(Generic[OptionsT]):
    """A request of an operation: its checked parameters, and its picture files by name."""

    options: OptionsT
    pictures: Mapping[str, list[bytes]]

    def picture(self, name: str = "file") -> bytes:
        """A picture file. Raises BadRequest where there is none."""
        files = self.pictures.get(name, [])
        if not files:
            places = f"the field {name!r} of a form, or {name!r} in JSON"
            places = f"its bytes as the body, {places}" if name == "file" else places
            raise BadRequest(f"there is no picture {name!r}; send {places}", name)
        if len(files) > 1:
            raise BadRequest(f"{len(files)} pictures in the field {name!r}; send one", name)
        return files[0]


def serves(
    router: APIRouter, operation: Operation[Any, Any], scope: Scope | None, path: str = "", **more: Any
) -> Callable[[HandlerT], HandlerT]:
    """Register a handler for an operation: path, answer and parameters as `client.operations` defines them."""
    is_json = dataclasses.is_dataclass(operation.answer)
    more["responses"] = {**(ERRORS if scope else {}), **more.get("responses", {})}
    return router.api_route(
        path or operation.path,
        methods=[operation.method],
        status_code=operation.status,
        response_model=answer_model(operation.answer) if is_json else None,
        response_class=Answer if is_json else Response,
        operation_id=_NAMES[id(operation)],
        openapi_extra=documented(operation),
        dependencies=[needs(scope)] if scope else [],
        **more,
    )


async def received(request: Request, operation: Operation[OptionsT, Any]) -> Received[OptionsT]:
    """The request of an operation, read and checked; each of its pictures counts for the caller's rate.

    Raises BadRequest, RateLimited and what reading and fetching raise.
    """
    service, names = service_of(request), operation.pictures
    body = Body()
    if operation.method != "GET":
        raw_name = "file" if names == ("file",) else None
        body = await read_body(request, service.settings.max_body_bytes, raw_name)
    query: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, []).append(value)
    named = {_picture_name(name, names): value for name, value in body.values.items()}
    files = {_picture_name(name, names): value for name, value in body.files.items()}
    of_pictures = set(names) - set(parameters_of(operation.options))
    texts = {name: named.pop(name) for name in of_pictures & set(named)}
    unknown_files = {name: value for name, value in files.items() if name not in names}
    options = checked(operation.options, {"query": query, body.place: {**named, **unknown_files}}, names)
    for name in texts.keys() & files.keys():
        raise BadRequest(f"{name} is given as a file and as text; give it once", name)
    written = _written(operation, texts)
    service.rates.count_more(request, sum(map(len, files.values())) + len(written) - 1)
    decoded = await together(_picture(service, text, where) for _, where, text in written)
    for (name, _, _), file in zip(written, decoded, strict=True):
        files.setdefault(name, []).append(file)
    return Received(options, files)


def _written(operation: Operation[Any, Any], texts: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """(name, where in the request, picture) of the pictures that JSON, or a form's texts, hold."""
    if not operation.many:
        return [(name, name, text) for name, text in texts.items() if text is not None]
    return [
        (name, f"{name}[{number}]", text)
        for name, several in texts.items()
        for number, text in enumerate(several if isinstance(several, list) else [several])
    ]


def _picture_name(name: str, names: tuple[str, ...]) -> str:
    """`image` is another name of the one picture that most operations take."""
    return "file" if name == "image" and names == ("file",) else name


async def _picture(service: Service, value: Any, name: str) -> bytes:
    """A picture that JSON, or a form's text, holds."""
    source = picture_of(value[0] if isinstance(value, list) and len(value) == 1 else value, name)
    try:
        return await service.fetcher.fetch(source.url) if isinstance(source, Remote) else source
    except BadRequest as error:
        raise BadRequest(f"{name} {error}", name) from None


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


def limits_of(options: LimitOptions) -> Limits:
    """What a request asks of its ears."""
    return Limits(options.get("min_quality"), options.get("min_score"))


def wants_json(request: Request, chosen: PictureFormat | None) -> bool:
    """Whether a picture is answered as JSON with its figures."""
    return chosen == "json" or (chosen is None and "application/json" in request.headers.get("accept", ""))
