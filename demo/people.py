"""The demo's validation people: who fills the gallery, who is searched for, and how well they are told apart.

Works on a loaded bundle, so what is measured is what is served. Knows neither training nor HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.image import Picture
from bundle.model import EarModel, Encoding
from common.records.record import EarRecord
from measure.protocol import Scores, evaluate, gallery_query_split
from training.data.crops import Framer

BATCH = 32
PER_SUBJECT = 2  # pictures of a person in the gallery; the others are queries


@dataclass(frozen=True)
class People:
    """N pictures of people the model has never seen, and what it says about them."""

    records: Sequence[EarRecord]
    crops: Picture
    """(N, S, S, 3) uint8 RGB, framed, in left orientation."""
    encoding: Encoding

    @property
    def subjects(self) -> list[str]:
        """Who each picture shows."""
        return [str(record.subject) for record in self.records]

    @property
    def gallery_rows(self) -> NDArray[np.int64]:
        """The pictures that are enrolled: the first `PER_SUBJECT` of each person."""
        return gallery_query_split(self.subjects, PER_SUBJECT).gallery

    @property
    def query_rows(self) -> NDArray[np.int64]:
        """The pictures that are searched for."""
        return gallery_query_split(self.subjects, PER_SUBJECT).queries


def meet(records: Sequence[EarRecord], model: EarModel, progress: Callable[[int, int], None]) -> People:
    """Frame and encode every picture. Raises ImageError for one that cannot be read."""
    framer = Framer(model.manifest.framing)
    crops = np.stack([framer(record).crop for record in records])
    parts = []
    for start in range(0, len(crops), BATCH):
        parts.append(model.encode(crops[start : start + BATCH]))
        progress(min(start + BATCH, len(crops)), len(crops))
    joined = (np.concatenate([getattr(part, name) for part in parts]) for name in ("embedding", "mu", "logvar"))
    return People(records, crops, Encoding(*joined))


def scores(people: People) -> dict[str, Scores]:
    """Identification and verification of the embedding, beside HOG on the same crops and the same protocol."""
    from training.evaluation.baselines import hog

    return {
        "embedding": evaluate(people.encoding.embedding, people.subjects, PER_SUBJECT),
        "HOG": evaluate(hog(people.crops), people.subjects, PER_SUBJECT),
    }
