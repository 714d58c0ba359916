"""One request to the service as a value: what is sent, how its answer is read, and what is known of asking again.

Sends nothing; knows no route. `client.calls` makes these, `client.connection` runs them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

ResultT = TypeVar("ResultT")
Vector = NDArray[np.float32]
Vectors = NDArray[np.float32] | Sequence[NDArray[np.float32]]
"""A matrix, or a list of vectors."""
Image = bytes | str | os.PathLike[str] | BinaryIO | NDArray[np.uint8]
"""A picture: the bytes of a file, a path, an open file, or pixels (H, W, 3) uint8 RGB."""
Box = tuple[float, float, float, float]
Folder = str | os.PathLike[str]
"""A place on the service's machine, not on this one."""
Kind = Literal["archive", "backup"]


@dataclass(frozen=True)
class Call(Generic[ResultT]):
    """One request. safe: sending it twice does no harm, so it is sent again after a broken connection."""

    method: str
    path: str
    read: Callable[[httpx.Response], ResultT]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    """`content`, `json`, `files` and `data`, as httpx takes them."""
    headers: Mapping[str, str] = field(default_factory=dict)
    safe: bool = True
    any_status: bool = False
    """Every status is an answer (503 is what one asks readiness for)."""
    takes_long: bool = False
    """The answer is waited for without a limit: the work grows with the gallery."""


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
        raise ValueError(f"a picture is (H, W, 3) uint8 RGB; given {picture.shape} {picture.dtype}")
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
