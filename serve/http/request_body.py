"""Request bodies as they come: a form, JSON or a picture's bytes, gzipped or not -> values and picture files by name.

Decides by the content type, and where that says nothing by the first byte: no picture begins with `{`. Checks no value
and decodes no picture.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serve.errors import BadRequest
from serve.http.content_encoding import inflate

MAX_FORM_FIELDS = 80
MAX_FORM_FILES = 64
WHOLE_NUMBER = re.compile("[0-9]{1,18}")
Place = Literal["query", "form", "JSON"]


@dataclass(frozen=True)
class Body:
    """What a body holds. values: of a form lists of texts, of JSON anything. files: picture files, one or several."""

    place: Place = "JSON"
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, list[bytes]] = field(default_factory=dict)


async def read_body(request: Request, limit_bytes: int, raw_name: str | None = None) -> Body:
    """The body of a request. raw_name: the name of the picture that a body of plain bytes is; None: there is none.

    limit_bytes: of a gzipped body when it is unpacked. Raises BadRequest, BodyTooLarge.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "")
    if kind == "multipart/form-data":
        return await _form(request, encoding, limit_bytes)
    data = inflate(await request.body(), encoding, limit_bytes)
    if not data:
        return Body()
    if kind.endswith("json") or data[:64].lstrip()[:1] == b"{":
        return Body("JSON", json_object(data))
    if raw_name is not None:
        return Body(files={raw_name: [data]})
    if kind == "application/x-www-form-urlencoded":
        return Body("form", parse_qs(data.decode("utf-8", "replace"), keep_blank_values=True))
    raise BadRequest("the body is neither a JSON object nor a form; send one of these", "body")


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises BadRequest."""
    try:
        loaded = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}", "body") from None
    if not isinstance(loaded, dict):
        raise BadRequest("the body is not a JSON object", "body")
    return loaded


class _InMemory(MultiPartParser):
    """Keeps files in memory, which the limit on bodies bounds; Starlette's own writes them to /tmp past 1 MB each."""

    spool_max_size = 0  # of a SpooledTemporaryFile: never spool


async def _form(request: Request, encoding: str, limit_bytes: int) -> Body:
    async with aclosing(_stream(request, encoding, limit_bytes)) as stream:
        parser = _InMemory(request.headers, stream, max_files=MAX_FORM_FILES, max_fields=MAX_FORM_FIELDS)
        try:
            form = await parser.parse()
        except (MultiPartException, UnicodeError) as error:  # the latter from a charset such as "undefined"
            raise BadRequest(f"the form cannot be read: {error}", "body") from None
    try:
        values = {name: texts for name in form if (texts := [v for v in form.getlist(name) if isinstance(v, str)])}
        files = {name: found for name in form if (found := await _files(form, name))}
        return Body("form", values, files)
    finally:
        await form.close()


async def _stream(request: Request, encoding: str, limit_bytes: int) -> AsyncGenerator[bytes]:
    if encoding:  # unpacked whole: what is packed is small
        yield inflate(await request.body(), encoding, limit_bytes)
    else:
        async with aclosing(request.stream()) as stream:
            async for chunk in stream:
                yield chunk


async def _files(form: FormData, name: str) -> list[bytes]:
    files = [await value.read() for value in form.getlist(name) if isinstance(value, UploadFile)]
    if not all(files):
        raise BadRequest(f"the file in field {name!r} has 0 bytes", name)
    return files


def whole_number(text: str) -> int | None:
    """A header's count; None where it is none. `str.isdigit` takes '²', and int() refuses thousands of digits."""
    return int(text) if WHOLE_NUMBER.fullmatch(text) else None
