"""Open-set identification: some queries belong to nobody in the gallery, and must be turned away.

FPIR, the false-positive identification rate, is the share of those queries whose best match reaches the threshold; DIR,
the detection-and-identification rate, the share of the others whose best match is right and reaches it (Grother & Ngan,
NIST FRVT 1:N; ISO/IEC 19795-1). Knows no vectors and no files.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.errors import MeasureError


@dataclass(frozen=True)
class OpenSet:
    """What an open gallery reaches. Rates are 0 to 1."""

    dir_at_fpir: dict[float, float]
    """Detection-and-identification rate by false-positive identification rate."""
    enrolled: int
    """Identities in the gallery."""
    strangers: int
    """Identities that are not."""


def open_set(
    similarity: NDArray[np.floating],
    query_ids: Sequence[Hashable],
    gallery_ids: Sequence[Hashable],
    rates: Sequence[float] = (0.01, 0.1),
) -> OpenSet:
    """Take every second identity out of the gallery, and measure who is found and who is turned away.

    similarity: (Q, G). Raises MeasureError where either group would be empty.
    """
    names = list(dict.fromkeys(gallery_ids))
    enrolled, strangers = set(names[::2]), set(names[1::2])
    columns = np.array([name in enrolled for name in gallery_ids])
    is_enrolled = np.array([name in enrolled for name in query_ids])
    foreign = np.array([name in strangers for name in query_ids])
    if not is_enrolled.any() or not foreign.any():
        raise MeasureError(
            f"{len(names)} identities: an open set needs some in the gallery and some outside, with queries"
        )
    kept = np.asarray(similarity)[:, columns]
    owners = [name for name in gallery_ids if name in enrolled]
    best, top = kept.argmax(axis=1), kept.max(axis=1)
    right = np.array([owners[column] == name for column, name in zip(best, query_ids, strict=True)])
    rate_of = {}
    for rate in rates:
        allowed = int(np.floor(rate * foreign.sum()))
        worst_first = np.sort(top[foreign])[::-1]
        threshold = worst_first[allowed] if allowed < len(worst_first) else -np.inf
        rate_of[rate] = float((right & (top > threshold))[is_enrolled].mean())
    return OpenSet(rate_of, len(enrolled), len(strangers))
