"""Every call of the service as a value: what is sent and how the answer is read. Sends nothing itself.

`client.client` runs these values, waiting or not; so each call is written once.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import numpy as np

from client.gallery_models import Drift, Duplicates, Export, Import
from client.models import Embedding, Explanation, Found, FoundSubjects, Item, Page, Photo, Reconstruction, Side, Verdict
from client.request import Box, Call, Folder, Image, Kind, Vector, Vectors, file_of

ResultT = TypeVar("ResultT")


def embed(
    image: Image, side: Side, box: Box | None, include: Sequence[str], asked: Mapping[str, Any]
) -> Call[Embedding]:
    params = {**_framed(side, box), "include": ",".join(include), **_given(asked)}
    return Call("POST", "/v1/embed", _json(Embedding.read), params, {"content": file_of(image)})


def landmarks(image: Image, threshold: float | None) -> Call[Photo]:
    params = _given({"threshold": threshold})
    return Call("POST", "/v1/landmarks", _json(Photo.read), params, {"content": file_of(image)})


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


def decode(
    latents: Sequence[Vector] | None, eigenears: Sequence[float] | None, side: Side, space_id: str | None
) -> Call[bytes]:
    given = {"side": side, **_given({"space_id": space_id})}
    if latents is not None:
        given["latents"] = [np.asarray(latent, np.float64).tolist() for latent in latents]
    if eigenears is not None:
        given["eigenears"] = list(eigenears)
    return Call("POST", "/v1/decode", lambda answer: answer.content, {}, {"json": given})


def search(image: Image, side: Side, box: Box | None, asked: Mapping[str, Any]) -> Call[Found]:
    params = {**_framed(side, box), **_given(asked)}
    return Call("POST", "/v1/search", _json(Found.read), params, {"content": file_of(image)})


def search_vector(embedding: Vector, space_id: str, side: Side, asked: Mapping[str, Any]) -> Call[Found]:
    body = {"json": _vector_query(embedding, space_id, side, asked)}
    return Call("POST", "/v1/search", _json(Found.read), {}, body)


def search_vectors(embeddings: Vectors, space_id: str, side: Side, asked: Mapping[str, Any]) -> Call[list[Found]]:
    return Call(
        "POST", "/v1/search", _each(Found.read), {}, {"json": _vectors_query(embeddings, space_id, side, asked)}
    )


def search_subjects(image: Image, side: Side, box: Box | None, asked: Mapping[str, Any]) -> Call[FoundSubjects]:
    params = {**_framed(side, box), **_given(asked), "group": "subject"}
    return Call("POST", "/v1/search", _json(FoundSubjects.read), params, {"content": file_of(image)})


def search_subjects_vector(
    embedding: Vector, space_id: str, side: Side, asked: Mapping[str, Any]
) -> Call[FoundSubjects]:
    body = {"json": {**_vector_query(embedding, space_id, side, asked), "group": "subject"}}
    return Call("POST", "/v1/search", _json(FoundSubjects.read), {}, body)


def search_subjects_vectors(
    embeddings: Vectors, space_id: str, side: Side, asked: Mapping[str, Any]
) -> Call[list[FoundSubjects]]:
    body = {"json": {**_vectors_query(embeddings, space_id, side, asked), "group": "subject"}}
    return Call("POST", "/v1/search", _each(FoundSubjects.read), {}, body)


def verify(
    a: Image, b: Image, sides: tuple[Side, Side], boxes: tuple[Box | None, Box | None], far: float
) -> Call[Verdict]:
    params = {"side_a": sides[0], "side_b": sides[1], "far": far}
    files = {"a": ("a", file_of(a)), "b": ("b", file_of(b))}
    fields = {f"box_{name}": _numbers(box) for name, box in zip("ab", boxes, strict=True) if box is not None}
    return Call("POST", "/v1/verify", _json(Verdict.read), params, {"files": files, "data": fields})


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


def duplicates(threshold: float, cursor: str | None, limit: int) -> Call[Duplicates]:
    params = _given({"threshold": threshold, "cursor": cursor, "limit": limit})
    return Call("GET", "/v1/gallery/duplicates", _json(Duplicates.read), params)


def drift(recent: int, redraw: int, space_id: str | None) -> Call[Drift]:
    params = _given({"recent": recent, "redraw": redraw, "space_id": space_id})
    return Call("GET", "/v1/gallery/drift", _json(Drift.read), params)


def import_source(source: Folder) -> Call[Import]:
    body = {"json": {"source": os.fspath(source)}}
    return Call("POST", "/v1/gallery/imports", _json(Import.read), {}, body, safe=False)


def imports() -> Call[list[Import]]:
    return Call("GET", "/v1/gallery/imports", _json(lambda body: [Import.read(one) for one in body["imports"]]))


def import_state(import_id: str) -> Call[Import]:
    return Call("GET", f"/v1/gallery/imports/{quote(import_id, safe='')}", _json(Import.read))


def export_gallery(target: Folder, kind: Kind) -> Call[Export]:
    body = {"json": {"target": os.fspath(target), "kind": kind}}
    return Call("POST", "/v1/gallery/exports", _json(Export.read), {}, body, safe=False, takes_long=True)


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


def model(bundle_id: str) -> Call[dict[str, Any]]:
    return Call("GET", f"/v1/models/{quote(bundle_id, safe='')}", _json(dict))


def metrics() -> Call[str]:
    return Call("GET", "/metrics", lambda answer: answer.text)


def ready() -> Call[dict[str, Any]]:
    return Call("GET", "/health/ready", _json(dict), any_status=True)


def _vector_query(embedding: Vector, space_id: str, side: Side, asked: Mapping[str, Any]) -> dict[str, Any]:
    vector = np.asarray(embedding, np.float64).tolist()
    return {"embedding": vector, "space_id": space_id, "side": side, **_given(asked)}


def _vectors_query(embeddings: Vectors, space_id: str, side: Side, asked: Mapping[str, Any]) -> dict[str, Any]:
    vectors = np.atleast_2d(np.asarray(embeddings, np.float64)).tolist()
    return {"embeddings": vectors, "space_id": space_id, "side": side, **_given(asked)}


def _each(read: Callable[[dict[str, Any]], ResultT]) -> Callable[[httpx.Response], list[ResultT]]:
    """Each of an answer's `results` as if it were the answer to its query alone."""
    return _json(lambda body: [read({**body, **one}) for one in body["results"]])


def _framed(side: Side, box: Box | None) -> dict[str, str]:
    return {"side": side} | ({} if box is None else {"box": _numbers(box)})


def _numbers(box: Box) -> str:
    return ",".join(f"{value:g}" for value in box)


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _json(read: Callable[[dict[str, Any]], ResultT]) -> Callable[[httpx.Response], ResultT]:
    return lambda answer: read(json.loads(answer.content))
