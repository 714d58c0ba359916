"""One call of the service as a value: the request, and how its answer is read. Sends nothing.

`client.calls` makes these from the operations, `client.connection` sends them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, cast
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from client.answers import answer_of
from client.operations import Operation
from client.parameters import json_of, text_of

ResultT = TypeVar("ResultT")
AnswerT = TypeVar("AnswerT")
Image = bytes | str | os.PathLike[str] | BinaryIO | NDArray[np.uint8]
"""A picture: the bytes of a file, a path, an open file, or pixels (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Call(Generic[ResultT]):
    """One request. body: `content`, `json`, `files` and `data`, as httpx takes them.

    any_status: every status is an answer (503 is what one asks readiness for).
    """

    operation: Operation[Any, Any]
    path: str
    read: Callable[[httpx.Response], ResultT]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    any_status: bool = False

    def then(self, change: Callable[[ResultT], AnswerT]) -> Call[AnswerT]:
        """The same request, its result changed."""
        return Call(
            self.operation,
            self.path,
            lambda response: change(self.read(response)),
            self.params,
            self.body,
            self.any_status,
        )


def call_of(
    operation: Operation[Any, AnswerT],
    options: Mapping[str, Any] | None = None,
    *,
    any_status: bool = False,
    pictures: Mapping[str, Image | Sequence[Image]] | None = None,
    **places: str,
) -> Call[AnswerT]:
    """The call of an operation. options: None values are left out unless the operation sends JSON, where they are null.

    pictures: by the operation's names for them, of an operation that takes many a sequence. places: what stands in the
    path.
    """
    path = operation.path.format(**{name: quote(value, safe="") for name, value in places.items()})
    files = [
        (name, file_of(image))
        for name, images in (pictures or {}).items()
        for image in (cast(Sequence[Image], images) if operation.many else [cast(Image, images)])
    ]
    query, body = _sent(operation, options or {}, files)
    return Call(operation, path, _reader(operation.answer), query, body, any_status)


def _sent(
    operation: Operation[Any, Any], options: Mapping[str, Any], files: Sequence[tuple[str, bytes]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(query, body) of a request."""
    if operation.sent_in == "json" or (operation.pictures and not files):
        return {}, {"json": {name: json_of(value) for name, value in options.items()}} if options else {}
    texts = {name: text_of(value) for name, value in options.items() if value is not None}
    if operation.sent_in == "form":
        return {}, {"files": [(name, (name, data)) for name, data in files], "data": texts}
    return texts, {"content": files[0][1]} if files else {}


def _reader(answer: Any) -> Callable[[httpx.Response], Any]:
    if answer is bytes:
        return lambda response: response.content
    if answer is str:
        return lambda response: response.text
    if answer is type(None):
        return lambda response: None
    return lambda response: answer_of(answer, json.loads(response.content))


def file_of(image: Image) -> bytes:
    """The bytes of a picture file. Raises FileNotFoundError and the like for a path that cannot be read."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, np.ndarray):
        return _png(image)
    return Path(image).read_bytes() if isinstance(image, str | os.PathLike) else image.read()


def _png(picture: np.ndarray[Any, Any]) -> bytes:
    """(H, W, 3) uint8 RGB without loss. Raises ValueError for another shape or type, ImportError without Pillow."""
    from PIL import Image as Pillow

    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise ValueError(f"a picture is (H, W, 3) uint8 RGB; this is {picture.shape} {picture.dtype}")
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
