"""The Python client of the service: typed, with retries when it is busy. `client.async_client` is the same, awaited.

with EarTeacher("http://127.0.0.1:8350") as ears:
    ears.enrol("anna.jpg", subject="anna", side="left")
    for hit in ears.search("who.jpg", k=3).hits:
        print(hit.subject, hit.similarity)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from client import calls as calls
from client.connection import Connection
from client.gallery_models import Drift, Duplicate, Duplicates, Export, Import
from client.models import Embedding, Explanation, Found, FoundSubjects, Item, Page, Photo, Reconstruction, Side, Verdict
from client.request import Box, Folder, Image, Kind, Vector, Vectors


class EarTeacher(Connection):
    """Every call of the service. Raises `client.errors.CallError`; see Connection for the arguments."""

    def embed(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, include: Sequence[str] = (), **asked: Any
    ) -> Embedding:
        """One picture -> its embedding; include: "mu", "quality", "eigenears"; asked: detect, space_id."""
        return self._run(calls.embed(image, side, box, include, asked))

    def embed_many(self, images: Sequence[Image], *, side: Side = "unknown") -> Vector:
        """Pictures -> (N, 1024) float32, rows of length 1, in one request."""
        return self._run(calls.embed_many(images, side))

    def landmarks(self, image: Image, *, threshold: float | None = None) -> Photo:
        """A photo -> its ears with landmarks, in pixels; threshold: least score, 0 to 1 (None: the bundle's)."""
        return self._run(calls.landmarks(image, threshold))

    def reconstruct(self, image: Image, *, side: Side = "unknown", box: Box | None = None) -> Reconstruction:
        """One picture -> what the model makes of it."""
        return self._run(calls.reconstruct(image, side, box))

    def decode(
        self,
        latents: Sequence[Vector] | None = None,
        *,
        eigenears: Sequence[float] | None = None,
        side: Side = "unknown",
        space_id: str | None = None,
    ) -> bytes:
        """Latents (`mu`), or a position along the eigenears -> a PNG; space_id: of the model that made the latents."""
        return self._run(calls.decode(latents, eigenears, side, space_id))

    def search(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a picture; asked: threshold, subject, tag, cross_ear, detect, space_id."""
        return self._run(calls.search(image, side, box, {"k": k, **asked}))

    def search_vector(
        self, embedding: Vector, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> Found:
        """The nearest ears to a vector of the space `space_id`."""
        return self._run(calls.search_vector(embedding, space_id, side, {"k": k, **asked}))

    def search_vectors(
        self, embeddings: Vectors, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> list[Found]:
        """The nearest ears to each of several vectors (N, 1024) of the space `space_id`, in one request."""
        return self._run(calls.search_vectors(embeddings, space_id, side, {"k": k, **asked}))

    def search_subjects(
        self, image: Image, *, side: Side = "unknown", box: Box | None = None, k: int = 10, **asked: Any
    ) -> FoundSubjects:
        """The nearest persons to a picture, each once; asked: per_subject (ears of each), and as for `search`."""
        return self._run(calls.search_subjects(image, side, box, {"k": k, **asked}))

    def search_subjects_vector(
        self, embedding: Vector, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> FoundSubjects:
        """The nearest persons to a vector of the space `space_id`."""
        return self._run(calls.search_subjects_vector(embedding, space_id, side, {"k": k, **asked}))

    def search_subjects_vectors(
        self, embeddings: Vectors, space_id: str, *, side: Side = "unknown", k: int = 10, **asked: Any
    ) -> list[FoundSubjects]:
        """The nearest persons to each of several vectors (N, 1024) of the space `space_id`, in one request."""
        return self._run(calls.search_subjects_vectors(embeddings, space_id, side, {"k": k, **asked}))

    def verify(
        self,
        a: Image,
        b: Image,
        *,
        sides: tuple[Side, Side] = ("unknown", "unknown"),
        boxes: tuple[Box | None, Box | None] = (None, None),
        far: float = 0.01,
    ) -> Verdict:
        """Whether two pictures show one ear, at a stated false-accept rate."""
        return self._run(calls.verify(a, b, sides, boxes, far))

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

    def duplicates(self, *, threshold: float = 0.99, cursor: str | None = None, limit: int = 200) -> Duplicates:
        """Ears enrolled twice, among the next `limit` items; threshold: least cosine, 0.5 to 1."""
        return self._run(calls.duplicates(threshold, cursor, limit))

    def all_duplicates(self, *, threshold: float = 0.99) -> Iterator[Duplicate]:
        """Ears enrolled twice, in the whole gallery."""
        page = self.duplicates(threshold=threshold)
        yield from page.pairs
        while page.next_cursor is not None:
            page = self.duplicates(threshold=threshold, cursor=page.next_cursor)
            yield from page.pairs

    def drift(self, *, recent: int = 200, redraw: int = 16, space_id: str | None = None) -> Drift:
        """The last `recent` ears beside those before; redraw: pictures of either part that the model redraws."""
        return self._run(calls.drift(recent, redraw, space_id))

    def import_source(self, source: Folder) -> Import:
        """Begin to import a folder, CSV, .npy, Parquet or tar of the service's machine; Conflict while one runs."""
        return self._run(calls.import_source(source))

    def imports(self) -> list[Import]:
        """The imports since the service started, the oldest first."""
        return self._run(calls.imports())

    def import_state(self, import_id: str) -> Import:
        """How far an import is."""
        return self._run(calls.import_state(import_id))

    def follow_import(self, import_id: str, *, every_s: float = 0.5) -> Iterator[Import]:
        """How far an import is, again and again until it has ended; Missing where the service was started anew."""
        while not (told := self.import_state(import_id)).ended:
            yield told
            time.sleep(every_s)
        yield told

    def export_gallery(self, target: Folder, kind: Kind = "archive") -> Export:
        """Copy the gallery to a new folder of the service's machine; archive: Parquet and pictures, backup: SQLite."""
        return self._run(calls.export_gallery(target, kind))

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

    def model(self, bundle_id: str) -> dict[str, Any]:
        """One of them."""
        return self._run(calls.model(bundle_id))

    def metrics(self) -> str:
        """Counts and times, in Prometheus' text format."""
        return self._run(calls.metrics())

    def ready(self) -> dict[str, Any]:
        """What the service says of its readiness, by part."""
        return self._run(calls.ready())
