"""The Python client of the service for programs with an event loop: `client.client`, awaited.

async with AsyncEarTeacher("http://127.0.0.1:8350") as ears:
    found = await asyncio.gather(*(ears.search(path, k=3) for path in paths))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from client import calls as calls
from client.connection import AsyncConnection
from client.gallery_models import Drift, Duplicate, Duplicates, Export, Import
from client.models import Embedding, Explanation, Found, FoundSubjects, Item, Page, Photo, Reconstruction, Side, Verdict
from client.request import Box, Folder, Image, Kind, Vector, Vectors


class AsyncEarTeacher(AsyncConnection):
    """Every call of the service. Raises `client.errors.CallError`; see AsyncConnection for the arguments."""

    async def embed(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, include: Sequence[str] = (), **asked: Any
    ) -> Embedding:
        """One picture -> its embedding; include: "mu", "quality", "eigenears"; asked: detect, space_id."""
        return await self._run(calls.embed(image, side, box, include, asked))

    async def embed_many(self, images: Sequence[Image], *, side: Side = "unknown") -> Vector:
        """Pictures -> (N, 1024) float32, rows of length 1, in one request."""
        return await self._run(calls.embed_many(images, side))

    async def landmarks(self, image: Image, *, threshold: float | None = None) -> Photo:
        """A photo -> its ears with landmarks, in pixels; threshold: least score, 0 to 1 (None: the bundle's)."""
        return await self._run(calls.landmarks(image, threshold))

    async def reconstruct(self, image: Image, *, side: Side = "unknown", box: Box | None = None) -> Reconstruction:
        """One picture -> what the model makes of it."""
        return await self._run(calls.reconstruct(image, side, box))

    async def decode(
        self,
        latents: Sequence[Vector] | None = None,
        *,
        eigenears: Sequence[float] | None = None,
        side: Side = "unknown",
        space_id: str | None = None,
    ) -> bytes:
        """Latents (`mu`), or a position along the eigenears -> a PNG; space_id: of the model that made the latents."""
        return await self._run(calls.decode(latents, eigenears, side, space_id))

    async def search(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a picture; asked: threshold, subject, tag, cross_ear, detect, space_id."""
        return await self._run(calls.search(image, side, box, {"k": k, **asked}))

    async def search_vector(
        self, embedding: Vector, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a vector of the space `space_id`."""
        return await self._run(calls.search_vector(embedding, space_id, side, {"k": k, **asked}))

    async def search_vectors(
        self, embeddings: Vectors, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> list[Found]:
        """The nearest ears to each of several vectors (N, 1024) of the space `space_id`, in one request."""
        return await self._run(calls.search_vectors(embeddings, space_id, side, {"k": k, **asked}))

    async def search_subjects(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, k: int = 10, **asked: Any
    ) -> FoundSubjects:
        """The nearest persons to a picture, each once; asked: per_subject (ears of each), and as for `search`."""
        return await self._run(calls.search_subjects(image, side, box, {"k": k, **asked}))

    async def search_subjects_vector(
        self, embedding: Vector, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> FoundSubjects:
        """The nearest persons to a vector of the space `space_id`."""
        return await self._run(calls.search_subjects_vector(embedding, space_id, side, {"k": k, **asked}))

    async def search_subjects_vectors(
        self, embeddings: Vectors, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> list[FoundSubjects]:
        """The nearest persons to each of several vectors (N, 1024) of the space `space_id`, in one request."""
        return await self._run(calls.search_subjects_vectors(embeddings, space_id, side, {"k": k, **asked}))

    async def verify(
        self,
        a: Image,
        b: Image,
        *,
        sides: tuple[Side, Side] = ("unknown", "unknown"),
        boxes: tuple[Box | None, Box | None] = (None, None),
        far: float = 0.01,
    ) -> Verdict:
        """Whether two pictures show one ear, at a stated false-accept rate."""
        return await self._run(calls.verify(a, b, sides, boxes, far))

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

    async def duplicates(self, *, threshold: float = 0.99, cursor: str | None = None, limit: int = 200) -> Duplicates:
        """Ears enrolled twice, among the next `limit` items; threshold: least cosine, 0.5 to 1."""
        return await self._run(calls.duplicates(threshold, cursor, limit))

    async def all_duplicates(self, *, threshold: float = 0.99) -> AsyncIterator[Duplicate]:
        """Ears enrolled twice, in the whole gallery."""
        page = await self.duplicates(threshold=threshold)
        while True:
            for pair in page.pairs:
                yield pair
            if page.next_cursor is None:
                return
            page = await self.duplicates(threshold=threshold, cursor=page.next_cursor)

    async def drift(self, *, recent: int = 200, redraw: int = 16, space_id: str | None = None) -> Drift:
        """The last `recent` ears beside those before; redraw: pictures of either part that the model redraws."""
        return await self._run(calls.drift(recent, redraw, space_id))

    async def import_source(self, source: Folder) -> Import:
        """Begin to import a folder, CSV, .npy, Parquet or tar of the service's machine; Conflict while one runs."""
        return await self._run(calls.import_source(source))

    async def imports(self) -> list[Import]:
        """The imports since the service started, the oldest first."""
        return await self._run(calls.imports())

    async def import_state(self, import_id: str) -> Import:
        """How far an import is."""
        return await self._run(calls.import_state(import_id))

    async def follow_import(self, import_id: str, *, every_s: float = 0.5) -> AsyncIterator[Import]:
        """How far an import is, again and again until it has ended; Missing where the service was started anew."""
        while not (told := await self.import_state(import_id)).ended:
            yield told
            await asyncio.sleep(every_s)
        yield told

    async def export_gallery(self, target: Folder, kind: Kind = "archive") -> Export:
        """Copy the gallery to a new folder of the service's machine; archive: Parquet and pictures, backup: SQLite."""
        return await self._run(calls.export_gallery(target, kind))

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

    async def model(self, bundle_id: str) -> dict[str, Any]:
        """One of them."""
        return await self._run(calls.model(bundle_id))

    async def metrics(self) -> str:
        """Counts and times, in Prometheus' text format."""
        return await self._run(calls.metrics())

    async def ready(self) -> dict[str, Any]:
        """What the service says of its readiness, by part."""
        return await self._run(calls.ready())
