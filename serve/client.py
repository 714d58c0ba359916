"""The Python client of the service: typed, with retries when it is busy. `serve.client_async` is the same, awaited.

with EarTeacher("http://127.0.0.1:8350") as ears:
    ears.enrol("anna.jpg", subject="anna", side="left")
    for hit in ears.search("who.jpg", k=3).hits:
        print(hit.subject, hit.similarity)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from serve import client_calls as calls
from serve.client_answers import Embedding, Explanation, Found, Item, Page, Reconstruction, Verdict
from serve.client_calls import Box, Call, Image, Vector
from serve.client_policy import Outcome, Policy
from serve.orientation import Side

ResultT = TypeVar("ResultT")


class EarTeacher:
    """A service, called and waited for. Safe to share between threads.

    retries: how often a call is made again when the service is busy (429) or starting (503), as it asks.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8350",
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._policy = Policy(url, api_key, timeout_s, retries)
        self._http = httpx.Client(**self._policy.options, transport=transport)

    def _run(self, call: Call[ResultT]) -> ResultT:
        tried = 0
        while True:
            answer: Outcome
            try:
                answer = self._http.request(
                    call.method, call.path, params=call.params, headers=call.headers, **call.body
                )
            except httpx.TransportError as error:
                answer = error
            pause_s = self._policy.pause_s(call, answer, tried)
            if pause_s is None:
                return self._policy.read(call, answer)
            time.sleep(pause_s)
            tried += 1

    def embed(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, include: Sequence[str] = ()
    ) -> Embedding:
        """One picture -> its embedding; include: "mu", "quality"."""
        return self._run(calls.embed(image, side, box, include))

    def embed_many(self, images: Sequence[Image], *, side: Side = "unknown") -> Vector:
        """Pictures -> (N, 1024) float32, rows of length 1, in one request."""
        return self._run(calls.embed_many(images, side))

    def reconstruct(self, image: Image, *, side: Side = "unknown", box: Box | None = None) -> Reconstruction:
        """One picture -> what the model makes of it."""
        return self._run(calls.reconstruct(image, side, box))

    def decode(
        self,
        latents: Sequence[Vector] | None = None,
        *,
        eigenears: Sequence[float] | None = None,
        side: Side = "unknown",
    ) -> bytes:
        """Latents (`mu`), or a position along the eigenears -> a PNG."""
        return self._run(calls.decode(latents, eigenears, side))

    def search(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a picture; asked: threshold, subject, tag, cross_ear."""
        return self._run(calls.search(image, side, box, {"k": k, **asked}))

    def search_vector(
        self, embedding: Vector, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a vector of the space `space_id`."""
        return self._run(calls.search_vector(embedding, space_id, side, {"k": k, **asked}))

    def verify(
        self, a: Image, b: Image, *, sides: tuple[Side, Side] = ("unknown", "unknown"), far: float = 0.01
    ) -> Verdict:
        """Whether two pictures show one ear, at a stated false-accept rate."""
        return self._run(calls.verify(a, b, sides, far))

    def explain(
        self, image: Image, item: str, *, side: Side = "unknown", box: Box | None = None, steps: int = 7
    ) -> Explanation:
        """Why a picture and a stored ear are near or far."""
        return self._run(calls.explain(image, item, side, box, steps))

    def enrol(
        self,
        image: Image,
        *,
        subject: str | None = None,
        side: Side = "unknown",
        tags: Sequence[str] = (),
        source: str | None = None,
        box: Box | None = None,
    ) -> Item:
        """Keep an ear; it is durable when this returns."""
        return self._run(calls.enrol(image, side, box, {"subject": subject, "tags": list(tags), "source": source}))

    def items(self, *, cursor: str | None = None, limit: int = 50, **asked: Any) -> Page:
        """One page of the gallery; asked: subject, side, tag."""
        return self._run(calls.items(cursor, limit, asked))

    def all_items(self, **asked: Any) -> Iterator[Item]:
        """The gallery, page by page."""
        page = self.items(limit=500, **asked)
        yield from page.items
        while page.next_cursor is not None:
            page = self.items(cursor=page.next_cursor, limit=500, **asked)
            yield from page.items

    def item(self, item_id: str) -> Item:
        """One item."""
        return self._run(calls.item(item_id))

    def image(self, item_id: str) -> bytes:
        """The stored picture of an item, as a file."""
        return self._run(calls.image_of(item_id))

    def change(self, item_id: str, **changes: Any) -> Item:
        """Change subject, side, tags or source of an item; None clears."""
        return self._run(calls.change(item_id, changes))

    def delete(self, item_id: str) -> None:
        """Delete an item."""
        self._run(calls.delete(item_id))

    def delete_subject(self, subject: str) -> int:
        """Delete everything of one person; returns how many items that were."""
        return self._run(calls.delete_subject(subject))

    def promote(self, bundle: str) -> dict[str, Any]:
        """Stage a bundle (a folder on the service's machine) as the next model."""
        return self._run(calls.promote(bundle))

    def promotion(self, promotion_id: str) -> dict[str, Any]:
        """A promotion: state, progress, report."""
        return self._run(calls.promotion(promotion_id))

    def promotions(self) -> list[dict[str, Any]]:
        """All promotions, the oldest first."""
        return self._run(calls.promotions())

    def activate(self, promotion_id: str, *, force: bool = False) -> dict[str, Any]:
        """Flip model, index and thresholds."""
        return self._run(calls.promotion_step(promotion_id, "activate", force))

    def rollback(self, promotion_id: str) -> dict[str, Any]:
        """Let the old model answer again."""
        return self._run(calls.promotion_step(promotion_id, "rollback", False))

    def retire(self, promotion_id: str) -> dict[str, Any]:
        """Unload the model that does not answer and delete its vectors."""
        return self._run(calls.promotion_step(promotion_id, "retire", False))

    def models(self) -> list[dict[str, Any]]:
        """The models that the service holds."""
        return self._run(calls.models())

    def ready(self) -> dict[str, Any]:
        """What the service says of its readiness, by part."""
        return self._run(calls.ready())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> EarTeacher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
