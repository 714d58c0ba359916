"""The gallery as requests see it: off the event loop, in a small pool of threads, its time counted.

Turns the side rule of a query into the gallery's filters. Knows no HTTP and no pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.items import Filter, Hit, SubjectHit
from index.items import Probe as GalleryProbe
from serve.inference.orientation import Probe
from serve.inference.thread_pool import Pool
from serve.inference.verification import Evidence, Vector, of_gallery
from serve.observability.request_context import Trace

if TYPE_CHECKING:
    from index.gallery import Gallery

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class GalleryQuery:
    """What a search asks besides its vectors: at most k hits, similarity >= threshold, items that pass the filter.

    Grouped: at most k subjects, with up to `per_subject` hits each.
    """

    k: int = 10
    threshold: float | None = None
    filter: Filter = Filter()
    per_subject: int = 1
    mean: Vector | None = None
    """(D,) float32: what is taken from every vector, if anything."""


class GalleryPool:
    """One gallery and the pool that serves it; `queue_size` calls may wait or run."""

    def __init__(self, gallery: Gallery, threads: int, queue_size: int) -> None:
        self.gallery = gallery
        self._pool = Pool(threads, queue_size, "gallery", "too many calls wait for the gallery")
        self._unknown = (-1, False)  # (sequence of the gallery, whether any stored ear was of unknown side then)

    async def run(self, trace: Trace, job: Callable[[], ResultT]) -> ResultT:
        """Run a call of the gallery; what it took counts as `index`. Raises what `Pool.run` raises."""
        return await self._pool.run(trace, "index", job)

    async def has_unknown_sides(self, trace: Trace) -> bool:
        """Whether any stored ear is of unknown side; looked for anew only after the gallery changed."""

        def job() -> bool:
            sequence = self.gallery.sequence
            if self._unknown[0] != sequence:
                self._unknown = (sequence, bool(self.gallery.list(limit=1, filter=Filter(sides=(None,))).items))
            return self._unknown[1]

        return await self.run(trace, job)

    async def evidence(self, trace: Trace, space_id: str) -> Evidence | None:
        """The gallery's own calibration of a space; None where there is none."""

        def job() -> Evidence | None:
            kept = self.gallery.calibration(space_id)
            if kept is None:
                return None
            mean = self.gallery.recent_mean(space_id).mean if kept.document["centred"] else None
            return of_gallery(kept.document, mean)

        return await self.run(trace, job)

    async def centre(self, trace: Trace, space_id: str, asked: bool | None) -> Vector | None:
        """The mean that searches take from every vector: where it is asked for, or the calibration is of such ones.

        asked: None: as the calibration is. Raises TooFewToCentre where it is asked for.
        """
        from index.centred_search import centre

        def job() -> Vector | None:
            kept = self.gallery.calibration(space_id) if asked is None else None
            by_calibration = kept is not None and kept.document["centred"]
            return centre(self.gallery, space_id) if asked or by_calibration else None

        return await self.run(trace, job)

    async def search(
        self, trace: Trace, queries: Sequence[tuple[Probe, NDArray[np.float32]]], space_id: str, question: GalleryQuery
    ) -> list[Hit]:
        """The nearest ears over all probes of one query, best first."""

        asked = probes_within(question.filter, queries)
        return await self.run(trace, lambda: self._hits(asked, space_id, question))

    async def search_subjects(
        self, trace: Trace, queries: Sequence[tuple[Probe, NDArray[np.float32]]], space_id: str, question: GalleryQuery
    ) -> list[SubjectHit]:
        """The nearest subjects over all probes of one query, best first; an ear of nobody's stands for itself."""
        asked = probes_within(question.filter, queries)
        return await self.run(trace, lambda: self._subjects(asked, space_id, question))

    async def search_vectors(
        self, trace: Trace, embeddings: NDArray[np.float32], space_id: str, question: GalleryQuery
    ) -> list[list[Hit]]:
        """The nearest ears of each ready vector, (Q, D) float32, best first: one search for all of them."""
        k, asked, threshold = question.k, question.filter, question.threshold
        if question.mean is not None:
            probes = [[GalleryProbe(row, asked)] for row in embeddings]
            return await self.run(trace, lambda: [self._hits(one, space_id, question) for one in probes])
        return await self.run(trace, lambda: list(self.gallery.search(embeddings, k, asked, space_id, threshold)))

    async def search_subjects_vectors(
        self, trace: Trace, embeddings: NDArray[np.float32], space_id: str, question: GalleryQuery
    ) -> list[list[SubjectHit]]:
        """The nearest subjects of each ready vector, (Q, D) float32, best first: one search for all of them."""
        k, asked, threshold = question.k, question.filter, question.threshold
        if question.mean is not None:
            probes = [[GalleryProbe(row, asked)] for row in embeddings]
            return await self.run(trace, lambda: [self._subjects(one, space_id, question) for one in probes])
        return await self.run(
            trace,
            lambda: self.gallery.search_subjects(embeddings, k, question.per_subject, asked, space_id, threshold),
        )

    def _hits(self, probes: Sequence[GalleryProbe], space_id: str, question: GalleryQuery) -> list[Hit]:
        from index.centred_search import centred_hits

        if question.mean is not None:
            return centred_hits(self.gallery, probes, question.mean, question.k, space_id, question.threshold)
        return self.gallery.search_probes(probes, question.k, space_id, question.threshold)

    def _subjects(self, probes: Sequence[GalleryProbe], space_id: str, question: GalleryQuery) -> list[SubjectHit]:
        from index.centred_search import centred_subjects

        k, per_subject, threshold = question.k, question.per_subject, question.threshold
        if question.mean is not None:
            return centred_subjects(self.gallery, probes, question.mean, k, per_subject, space_id, threshold)
        return self.gallery.search_probes_subjects(probes, k, per_subject, space_id, threshold)

    def close(self) -> None:
        """Let running calls finish, then close the gallery."""
        self._pool.close(wait=True)
        self.gallery.close()


def probes_within(asked: Filter, queries: Sequence[tuple[Probe, NDArray[np.float32]]]) -> list[GalleryProbe]:
    """What the gallery is asked for a query: its vectors, each within the sides that it may meet."""
    narrowed = [(narrow(asked, probe), embedding) for probe, embedding in queries]
    return [GalleryProbe(embedding, filter) for filter, embedding in narrowed if filter is not None]


def narrow(asked: Filter, probe: Probe) -> Filter | None:
    """The caller's filter within the sides that this probe may meet; None where no item can pass both."""
    if not probe.sides:
        return asked
    sides = tuple(side for side in probe.sides if not asked.sides or side in asked.sides)
    return replace(asked, sides=sides) if sides else None
