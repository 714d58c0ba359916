"""Searches by the cosine of centred vectors: what all ears of a gallery share is taken from query and stored ears.

The index holds vectors as they are. It is asked for more than are wanted, with the centred query: stored vectors have
unit length, so that this orders them as their centred inner product does; the cosines of those are then exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from index.errors import TooFewToCentre
from index.gallery import Gallery
from index.items import Hit, Probe, SubjectHit
from index.neighbours import Matrix
from index.search import K_LIMIT, grouped, merged
from index.vectors import centred

FEWEST_ITEMS = 20
"""Of fewer ears the mean says more about themselves than about what all share."""
MORE, AT_LEAST = 4, 64
"""Candidates for each hit that is asked for, and at least."""


def centre(gallery: Gallery, space_id: str) -> Matrix:
    """The mean (D,) that is taken from every vector of a space. Raises TooFewToCentre."""
    mean = gallery.recent_mean(space_id)
    if mean.items < FEWEST_ITEMS:
        raise TooFewToCentre(
            f"the gallery's mean is of {mean.items} ears and at least {FEWEST_ITEMS} are needed to centre on it: enrol "
            "more, or leave centred out"
        )
    return mean.mean


def centred_hits(
    gallery: Gallery, probes: Sequence[Probe], mean: Matrix, k: int, space_id: str, threshold: float | None = None
) -> list[Hit]:
    """The `k` nearest ears over all probes of one query, by the cosine of vectors less `mean`, best first."""
    count = min(max(MORE * k, AT_LEAST), K_LIMIT)
    lists = [_rescored(gallery, probe, mean, count, space_id) for probe in probes]
    floor = -2.0 if threshold is None else threshold
    return [hit for hit in merged(lists) if hit.similarity >= floor][:k]


def centred_subjects(
    gallery: Gallery,
    probes: Sequence[Probe],
    mean: Matrix,
    k: int,
    per_subject: int,
    space_id: str,
    threshold: float | None = None,
) -> list[SubjectHit]:
    """The `k` nearest subjects, with up to `per_subject` of their ears that are among the candidates."""
    hits = centred_hits(gallery, probes, mean, min(MORE * k * per_subject, K_LIMIT), space_id, threshold)
    return [replace(group, hits=group.hits[:per_subject]) for group in grouped(hits)[:k]]


def _rescored(gallery: Gallery, probe: Probe, mean: Matrix, count: int, space_id: str) -> list[Hit]:
    query = centred(np.asarray(probe.embedding, np.float32), mean)
    nearest = gallery.search_probes([replace(probe, embedding=query)], count, space_id)
    stored = gallery.vectors_of([hit.item.id for hit in nearest], space_id)
    kept = [hit for hit in nearest if hit.item.id in stored]  # others were deleted meanwhile
    if not kept:
        return []
    vectors = centred(np.stack([stored[hit.item.id].embedding for hit in kept]), mean)
    return [replace(hit, similarity=float(value)) for hit, value in zip(kept, vectors @ query, strict=True)]
