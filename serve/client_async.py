"""The Python client of the service for programs with an event loop: `serve.client`, awaited.

async with AsyncEarTeacher("http://127.0.0.1:8350") as ears:
    found = await asyncio.gather(*(ears.search(path, k=3) for path in paths))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from serve import client_calls as calls
from serve.client_answers import Embedding, Explanation, Found, Item, Page, Reconstruction, Verdict
from serve.client_calls import Box, Call, Image, Vector
from serve.client_policy import Outcome, Policy
from serve.orientation import Side

ResultT = TypeVar("ResultT")


class AsyncEarTeacher:
    """A service, called and awaited; for one event loop.

    retries: how often a call is made again when the service is busy (429) or starting (503), as it asks.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8350",
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._policy = Policy(url, api_key, timeout_s, retries)
        self._http = httpx.AsyncClient(**self._policy.options, transport=transport)

    async def _run(self, call: Call[ResultT]) -> ResultT:
        tried = 0
        while True:
            answer: Outcome
            try:
                answer = await self._http.request(
                    call.method, call.path, params=call.params, headers=call.headers, **call.body
                )
            except httpx.TransportError as error:
                answer = error
            pause_s = self._policy.pause_s(call, answer, tried)
            if pause_s is None:
                return self._policy.read(call, answer)
            await asyncio.sleep(pause_s)
            tried += 1

    async def embed(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, include: Sequence[str] = ()
    ) -> Embedding:
        """One picture -> its embedding; include: "mu", "quality"."""
        return await self._run(calls.embed(image, side, box, include))

    async def embed_many(self, images: Sequence[Image], *, side: Side = "unknown") -> Vector:
        """Pictures -> (N, 1024) float32, rows of length 1, in one request."""
        return await self._run(calls.embed_many(images, side))

    async def reconstruct(self, image: Image, *, side: Side = "unknown", box: Box | None = None) -> Reconstruction:
        """One picture -> what the model makes of it."""
        return await self._run(calls.reconstruct(image, side, box))

    async def decode(
        self,
        latents: Sequence[Vector] | None = None,
        *,
        eigenears: Sequence[float] | None = None,
        side: Side = "unknown",
    ) -> bytes:
        """Latents (`mu`), or a position along the eigenears -> a PNG."""
        return await self._run(calls.decode(latents, eigenears, side))

    async def search(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a picture; asked: threshold, subject, tag, cross_ear."""
        return await self._run(calls.search(image, side, box, {"k": k, **asked}))

    async def search_vector(
        self, embedding: Vector, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a vector of the space `space_id`."""
        return await self._run(calls.search_vector(embedding, space_id, side, {"k": k, **asked}))

    async def verify(
        self, a: Image, b: Image, *, sides: tuple[Side, Side] = ("unknown", "unknown"), far: float = 0.01
    ) -> Verdict:
        """Whether two pictures show one ear, at a stated false-accept rate."""
        return await self._run(calls.verify(a, b, sides, far))

    async def explain(
        self, image: Image, item: str, *, side: Side = "unknown", box: Box | None = None, steps: int = 7
    ) -> Explanation:
        """Why a picture and a stored ear are near or far."""
        return await self._run(calls.explain(image, item, side, box, steps))

    async def enrol(
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
        return await self._run(
            calls.enrol(image, side, box, {"subject": subject, "tags": list(tags), "source": source})
        )

    async def items(self, *, cursor: str | None = None, limit: int = 50, **asked: Any) -> Page:
        """One page of the gallery; asked: subject, side, tag."""
        return await self._run(calls.items(cursor, limit, asked))

    async def all_items(self, **asked: Any) -> AsyncIterator[Item]:
        """The gallery, page by page."""
        page = await self.items(limit=500, **asked)
        while True:
            for found in page.items:
                yield found
            if page.next_cursor is None:
                return
            page = await self.items(cursor=page.next_cursor, limit=500, **asked)

    async def item(self, item_id: str) -> Item:
        """One item."""
        return await self._run(calls.item(item_id))

    async def image(self, item_id: str) -> bytes:
        """The stored picture of an item, as a file."""
        return await self._run(calls.image_of(item_id))

    async def change(self, item_id: str, **changes: Any) -> Item:
        """Change subject, side, tags or source of an item; None clears."""
        return await self._run(calls.change(item_id, changes))

    async def delete(self, item_id: str) -> None:
        """Delete an item."""
        await self._run(calls.delete(item_id))

    async def delete_subject(self, subject: str) -> int:
        """Delete everything of one person; returns how many items that were."""
        return await self._run(calls.delete_subject(subject))

    async def promote(self, bundle: str) -> dict[str, Any]:
        """Stage a bundle (a folder on the service's machine) as the next model."""
        return await self._run(calls.promote(bundle))

    async def promotion(self, promotion_id: str) -> dict[str, Any]:
        """A promotion: state, progress, report."""
        return await self._run(calls.promotion(promotion_id))

    async def promotions(self) -> list[dict[str, Any]]:
        """All promotions, the oldest first."""
        return await self._run(calls.promotions())

    async def activate(self, promotion_id: str, *, force: bool = False) -> dict[str, Any]:
        """Flip model, index and thresholds."""
        return await self._run(calls.promotion_step(promotion_id, "activate", force))

    async def rollback(self, promotion_id: str) -> dict[str, Any]:
        """Let the old model answer again."""
        return await self._run(calls.promotion_step(promotion_id, "rollback", False))

    async def retire(self, promotion_id: str) -> dict[str, Any]:
        """Unload the model that does not answer and delete its vectors."""
        return await self._run(calls.promotion_step(promotion_id, "retire", False))

    async def models(self) -> list[dict[str, Any]]:
        """The models that the service holds."""
        return await self._run(calls.models())

    async def ready(self) -> dict[str, Any]:
        """What the service says of its readiness, by part."""
        return await self._run(calls.ready())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncEarTeacher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
