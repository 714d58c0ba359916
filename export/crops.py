"""The pictures an export is compared on: framed crops, and whose ear each shows where that is known.

Reads what training reads, with training's own code; takes the validation pictures where the data tells them apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleError
from bundle.framing import Framing
from common.records.record import EarRecord
from export.errors import NoCrops
from training.data.crops import Framer
from training.data.trained_on import Digest, TrainedOn, exposure, picture_digest
from training.errors import TrainingError
from training.evaluation.choice import StudyConfig, pictures

WHOLE_SUBJECTS = 32
"""From so many crops on, whole subjects say more than crops of as many people as possible."""


@dataclass(frozen=True)
class Crops:
    """Crops to compare on."""

    pixels: NDArray[np.uint8]
    """(N, S, S, 3) uint8 RGB, left orientation."""
    identities: tuple[Hashable, ...] | None = None
    """N (subject, side); None where a subject is unknown."""
    skipped: tuple[str, ...] = ()
    """What could not be used, a line each."""
    exposure: str = ""
    """In one sentence, whether their people were trained on."""
    held_out: bool = False
    """Whether a calibration may be made on them: their people are known not to have been trained on."""
    trained_on: TrainedOn | None = None
    """The record of a model that learns from them."""
    name: str = "comparison crops"
    """What they are, in a few words, for a calibration made on them."""

    def __len__(self) -> int:
        return len(self.pixels)

    def sample(self, count: int) -> Crops:
        """At most `count` of them: neighbours in the file where there are many, since these are whole subjects, and
        spread over all where there are few, since these must differ."""
        if count >= len(self):
            return self
        rows = np.arange(count) if count >= WHOLE_SUBJECTS else np.linspace(0, len(self) - 1, count).astype(int)
        identities = None if self.identities is None else tuple(self.identities[row] for row in rows)
        return replace(self, pixels=self.pixels[rows], identities=identities)


def load_crops(
    data: Path,
    framing: Framing,
    limit: int,
    use_boxes: bool = True,
    trained_on: TrainedOn | None = None,
) -> Crops:
    """Frame at most `limit` pictures of `data`, in the order of the file; people trained on make room for others.

    Args:
        data: a teacher file, a `metadata.csv`, or a folder of either or of pictures. `val_teacher.npy` and rows whose
            `split` is `val` are preferred: a model agrees best with itself on what it was trained on.
        framing: the rule of the bundle.
        limit: most pictures to take.
        use_boxes: frame by the ear's box where there is one.
        trained_on: what the checkpoint says of whom it was trained on; None: it does not say.

    Raises:
        NoCrops: nothing there, or nothing readable.
    """
    try:
        records = pictures(StudyConfig(data)).judged
    except TrainingError as error:
        raise NoCrops(f"--crops: {error}") from None
    return frame(records, framing, limit, use_boxes, trained_on, f"--crops {data}")


def frame(
    records: Sequence[EarRecord],
    framing: Framing,
    limit: int,
    use_boxes: bool = True,
    trained_on: TrainedOn | None = None,
    source: str = "",
) -> Crops:
    """`load_crops` of records; `source` names them in messages."""
    framer = Framer(framing, use_boxes)
    readable, digests, problems = _readable(records)
    held = exposure(trained_on, readable, digests)
    chosen = [record for record, keep in zip(readable, held.held_out, strict=True) if keep]
    digest_of = dict(zip(map(id, readable), digests, strict=True))
    pixels, kept = [], []
    for record in chosen[:limit]:
        try:
            pixels.append(framer(record).crop)
            kept.append(record)
        except BundleError as error:
            problems.append(f"{record.path.name}: {error}")
    if not pixels:
        raise NoCrops(f"{source}: none of {len(records)} pictures can be used; the first: {problems[0]}")
    learned = TrainedOn.of(kept, (digest_of[id(record)] for record in kept))
    return Crops(np.stack(pixels), _identities(kept), tuple(problems), held.sentence, held.trustworthy, learned)


def _readable(records: Sequence[EarRecord]) -> tuple[list[EarRecord], list[Digest], list[str]]:
    """The records whose files can be read, the digests of those, and a line for each of the others."""
    readable, digests, problems = [], [], []
    for record in records:
        try:
            digests.append(picture_digest(record.read()))
            readable.append(record)
        except (OSError, ValueError) as error:
            problems.append(f"{record.path.name}: {error}")
    return readable, digests, problems


def _identities(records: Sequence[EarRecord]) -> tuple[Hashable, ...] | None:
    if any(record.subject is None for record in records):
        return None
    return tuple((record.subject, record.side) for record in records)
