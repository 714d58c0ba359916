"""Every call of the service as a value: what is sent and how the answer is read. Sends nothing itself.

`serve.client` runs these values, waiting or not; so each call is written once.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from serve.client_answers import Embedding, Explanation, Found, Item, Page, Reconstruction, Verdict
from serve.orientation import Side

ResultT = TypeVar("ResultT")
Vector = NDArray[np.float32]
Image = bytes | str | os.PathLike[str] | BinaryIO | NDArray[np.uint8]
"""A picture: the bytes of a file, a path, an open file, or pixels (H, W, 3) uint8 RGB."""
Box = tuple[float, float, float, float]


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


def embed(image: Image, side: Side, box: Box | None, include: Sequence[str]) -> Call[Embedding]:
    params = {**_framed(side, box), "include": ",".join(include)}
    return Call("POST", "/v1/embed", _json(Embedding.read), params, {"content": file_of(image)})


def embed_many(images: Sequence[Image], side: Side) -> Call[Vector]:
    files = [base64.b64encode(file_of(image)).decode() for image in images]
    body = {"json": {"input": files, "encoding_format": "base64", "side": side}}

    def read(answer: httpx.Response) -> Vector:
        rows = sorted(answer.json()["data"], key=lambda row: int(row["index"]))
        return np.stack([np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in rows])

    return Call("POST", "/v1/embeddings", read, {}, body)


def reconstruct(image: Image, side: Side, box: Box | None) -> Call[Reconstruction]:
    headers = {"Accept": "application/json"}
    body = {"content": file_of(image)}
    return Call("POST", "/v1/reconstruct", _json(Reconstruction.read), _framed(side, box), body, headers)


def decode(latents: Sequence[Vector] | None, eigenears: Sequence[float] | None, side: Side) -> Call[bytes]:
    given: dict[str, Any] = {"side": side}
    if latents is not None:
        given["latents"] = [np.asarray(latent, np.float64).tolist() for latent in latents]
    if eigenears is not None:
        given["eigenears"] = list(eigenears)
    return Call("POST", "/v1/decode", lambda answer: answer.content, {}, {"json": given})


def search(image: Image, side: Side, box: Box | None, asked: Mapping[str, Any]) -> Call[Found]:
    params = {**_framed(side, box), **{name: value for name, value in asked.items() if value is not None}}
    return Call("POST", "/v1/search", _json(Found.read), params, {"content": file_of(image)})


def search_vector(embedding: Vector, space_id: str, side: Side, asked: Mapping[str, Any]) -> Call[Found]:
    given = {"embedding": np.asarray(embedding, np.float64).tolist(), "space_id": space_id, "side": side, **asked}
    return Call("POST", "/v1/search", _json(Found.read), {}, {"json": given})


def verify(a: Image, b: Image, sides: tuple[Side, Side], far: float) -> Call[Verdict]:
    params = {"side_a": sides[0], "side_b": sides[1], "far": far}
    files = {"a": ("a", file_of(a)), "b": ("b", file_of(b))}
    return Call("POST", "/v1/verify", _json(Verdict.read), params, {"files": files})


def explain(image: Image, item: str, side: Side, box: Box | None, steps: int) -> Call[Explanation]:
    params = {**_framed(side, box), "item": item, "steps": steps}
    return Call("POST", "/v1/explain", _json(Explanation.read), params, {"content": file_of(image)})


def enrol(image: Image, side: Side, box: Box | None, labels: Mapping[str, Any]) -> Call[Item]:
    fields = {**_framed(side, box), **{name: value for name, value in labels.items() if value}}
    body = {"files": {"file": ("ear", file_of(image))}, "data": fields}
    return Call("POST", "/v1/gallery/items", _json(Item.read), {}, body, safe=False)


def items(cursor: str | None, limit: int, asked: Mapping[str, Any]) -> Call[Page]:
    params = {"limit": limit, **{name: value for name, value in {**asked, "cursor": cursor}.items() if value}}
    return Call("GET", "/v1/gallery/items", _json(Page.read), params)


def item(item_id: str) -> Call[Item]:
    return Call("GET", f"/v1/gallery/items/{quote(item_id, safe='')}", _json(Item.read))


def image_of(item_id: str) -> Call[bytes]:
    return Call("GET", f"/v1/gallery/items/{quote(item_id, safe='')}/image", lambda answer: answer.content)


def change(item_id: str, changes: Mapping[str, Any]) -> Call[Item]:
    return Call("PATCH", f"/v1/gallery/items/{quote(item_id, safe='')}", _json(Item.read), {}, {"json": changes})


def delete(item_id: str) -> Call[None]:
    return Call("DELETE", f"/v1/gallery/items/{quote(item_id, safe='')}", lambda answer: None, safe=False)


def delete_subject(subject: str) -> Call[int]:
    path = f"/v1/gallery/subjects/{quote(subject, safe='')}"
    return Call("DELETE", path, _json(lambda body: int(body["deleted"])))


def promote(bundle: str) -> Call[dict[str, Any]]:
    return Call("POST", "/v1/promotions", _json(dict), {}, {"json": {"bundle": bundle}}, safe=False)


def promotion(promotion_id: str) -> Call[dict[str, Any]]:
    return Call("GET", f"/v1/promotions/{quote(promotion_id, safe='')}", _json(dict))


def promotions() -> Call[list[dict[str, Any]]]:
    return Call("GET", "/v1/promotions", _json(lambda body: list(body["promotions"])))


def promotion_step(promotion_id: str, verb: str, force: bool) -> Call[dict[str, Any]]:
    body = {"json": {"force": force}} if verb == "activate" else {}
    return Call("POST", f"/v1/promotions/{quote(promotion_id, safe='')}/{verb}", _json(dict), {}, body, safe=False)


def models() -> Call[list[dict[str, Any]]]:
    return Call("GET", "/v1/models", _json(lambda body: list(body["data"])))


def ready() -> Call[dict[str, Any]]:
    return Call("GET", "/health/ready", _json(dict), any_status=True)


def file_of(image: Image) -> bytes:
    """The bytes of a picture file. Raises FileNotFoundError and the like for a path that cannot be read."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, np.ndarray):
        from bundle.image import to_png

        return to_png(image)
    return Path(image).read_bytes() if isinstance(image, str | os.PathLike) else image.read()


def _framed(side: Side, box: Box | None) -> dict[str, str]:
    return {"side": side} | ({} if box is None else {"box": ",".join(f"{value:g}" for value in box)})


def _json(read: Callable[[dict[str, Any]], ResultT]) -> Callable[[httpx.Response], ResultT]:
    return lambda answer: read(json.loads(answer.content))
