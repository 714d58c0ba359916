"""The picture of a request: raw bytes as the body, or the field `file` of a multipart form. Decodes nothing."""

from __future__ import annotations

import math
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from bundle.framing import Box
from serve.errors import BadRequest

MAX_FORM_FIELDS = 80


@dataclass(frozen=True)
class Upload:
    """A picture file as it came, and the form's other fields (a repeated field has several values)."""

    data: bytes
    fields: dict[str, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """The last value of a form field; None where it is absent or empty."""
        values = self.fields.get(name)
        return (values[-1].strip() or None) if values else None


async def read_upload(request: Request, name: str = "file") -> Upload:
    """The request's picture. Raises BadRequest where there is none, under `name` in a multipart form."""
    if is_form(request):
        return (await read_uploads(request, (name,)))[0]
    data = await request.body()
    if not data:
        raise BadRequest("the body is empty; send a picture's bytes, or a multipart form with the field 'file'", "body")
    return Upload(data)


async def read_uploads(request: Request, names: tuple[str, ...]) -> list[Upload]:
    """The pictures of a multipart form, one for each name, all with the same fields."""
    if not is_form(request):
        raise BadRequest(f"send a multipart form with the fields {', '.join(names)}", "body")
    form = await _form(request, len(names))
    try:
        fields = {key: [value for value in form.getlist(key) if isinstance(value, str)] for key in form}
        return [Upload(await _file(form, name), fields) for name in names]
    finally:
        await form.close()


def is_form(request: Request) -> bool:
    """Whether the body is a multipart form."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


class _InMemory(MultiPartParser):
    """Keeps files in memory, which the envelope's limit on bodies bounds; Starlette's own fills /tmp past 1 MB each."""

    spool_max_size = 0  # of a SpooledTemporaryFile: never spool


async def _form(request: Request, files: int) -> FormData:
    async with aclosing(request.stream()) as stream:
        parser = _InMemory(request.headers, stream, max_files=files, max_fields=MAX_FORM_FIELDS)
        try:
            return await parser.parse()
        except (MultiPartException, UnicodeError) as error:  # the latter from a charset such as "undefined"
            raise BadRequest(f"the form cannot be read: {error}", "body") from None


async def _file(form: FormData, name: str) -> bytes:
    value = form.get(name)
    if not isinstance(value, UploadFile):
        raise BadRequest(f"the form has no file field {name!r}; it has {sorted(form) or 'no fields'}", name)
    data = await value.read()
    if not data:
        raise BadRequest(f"the file in field {name!r} has 0 bytes", name)
    return data


def parse_box(text: str | None, param: str = "box") -> Box | None:
    """`x1,y1,x2,y2` in pixels of the upright picture; None where nothing was given."""
    if text is None or not text.strip():
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise BadRequest(f"{param} is {text[:80]!r}; give four numbers x1,y1,x2,y2 in pixels", param)
    return numbers
