"""Records -> framed crops in left orientation: the pixels that training sees are the pixels that the service sees.

Decoding and framing are `bundle.image`'s. Knows neither tensors nor augmentation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bundle import image
from bundle.errors import BundleError
from bundle.framing import Framing, square
from training.data.records import EarRecord
from training.errors import DataError

Crop = NDArray[np.uint8]
HIDDEN = 0.3
"""How much a covered landmark counts: where it is can be guessed, not seen."""


class Framed(NamedTuple):
    """One ear as the model sees it."""

    crop: Crop
    """(S, S, 3) uint8 RGB, left orientation."""
    landmarks: NDArray[np.float32]
    """(K, 2) x, y as shares of the crop's side, 0 to 1 where inside; zeros where not known."""
    weights: NDArray[np.float32]
    """(K,): 1 for a visible landmark, `HIDDEN` for one that is known but covered, 0 for an unknown one."""


@dataclass(frozen=True)
class Framer:
    """Turns a record into a crop.

    Args:
        framing: the rule that the bundle will carry.
        use_boxes: frame by the record's box (`--crop box`); False takes whole pictures (`--crop none`).
        landmarks: K, how many landmarks each item has room for.
    """

    framing: Framing
    use_boxes: bool = True
    landmarks: int = 0

    def __call__(self, record: EarRecord) -> Framed:
        """Decode, frame, and mirror a right ear.

        Raises:
            BundleError: the picture cannot be decoded or framed.
        """
        picture = image.read(record.path)
        box = record.box if self.use_boxes else None
        crop = image.frame(picture, box, self.framing)
        left, top, right, bottom = square(box, picture.shape[1], picture.shape[0], self.framing.margin)
        points, weights = np.full((self.landmarks, 2), np.nan), np.zeros(self.landmarks)
        if record.landmarks is not None and record.visible is not None:
            points = (record.landmarks - (left, top)) / (right - left, bottom - top)
            weights = np.where(record.visible, 1.0, np.where(np.isfinite(points).all(1), HIDDEN, 0.0))
        if record.side == "right":
            crop = image.mirror(crop)
            points = points * (-1, 1) + (1, 0)
        return Framed(crop, np.nan_to_num(points).astype(np.float32), weights.astype(np.float32))


class Crops(Protocol):
    """Framed ears by number: held in memory, or decoded when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Framed: ...


class DecodedCrops:
    """Decodes a picture each time it is asked for: no memory, more work."""

    def __init__(self, records: Sequence[EarRecord], framer: Framer) -> None:
        self._records, self._framer = records, framer

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Framed:
        return self._framer(self._records[number])


class HeldCrops:
    """Every crop decoded once, in memory: 49 kB for each at 128 px."""

    def __init__(self, items: Sequence[Framed]) -> None:
        # One array each, not a list of small ones: forked workers then share the pages instead of copying them.
        self.crops = np.stack([item.crop for item in items])
        self.landmarks = np.stack([item.landmarks for item in items])
        self.weights = np.stack([item.weights for item in items])

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, number: int) -> Framed:
        return Framed(self.crops[number], self.landmarks[number], self.weights[number])


class Survey(NamedTuple):
    """What one pass over all pictures found."""

    kept: list[EarRecord]
    items: list[Framed]
    """The framed ears of `kept`; empty where `hold` was False."""
    refused: list[str]
    """One line for each picture that cannot be used."""
    sha256: str
    """Of every file's bytes with its box, subject and side, in order: the data's fingerprint."""


def survey(
    records: Sequence[EarRecord],
    framer: Framer,
    *,
    hold: bool = True,
    threads: int = 2,
    progress: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Open every picture once: find those that cannot be used before hours of training do, and fingerprint the data."""

    def look(record: EarRecord) -> tuple[Framed | None, bytes, str | None]:
        digest = _digest(record)
        try:
            framed = framer(record)
        except BundleError as error:
            return None, digest, f"{record.path}: {error}"
        return (framed if hold else None), digest, None

    kept: list[EarRecord] = []
    items: list[Framed] = []
    refused: list[str] = []
    total = hashlib.sha256()
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for number, (record, (framed, digest, problem)) in enumerate(
            zip(records, pool.map(look, records), strict=True)
        ):
            total.update(digest)
            if problem is not None:
                refused.append(problem)
            else:
                kept.append(record)
                items += [framed] if framed is not None else []
            progress(number + 1)
    return Survey(kept, items, refused, total.hexdigest())


def frame_all(records: Sequence[EarRecord], framer: Framer, what: str, tell: Callable[[str, int, int], None]) -> Survey:
    """`survey` of all records, told as "reading `what`".

    Raises:
        DataError: none of them can be used.
    """
    found = survey(records, framer, progress=lambda done: tell(f"reading {what}", done, len(records)))
    if not found.items:
        raise DataError(f"none of the {len(records)} {what} can be used; the first: {found.refused[0]}")
    return found


def _digest(record: EarRecord) -> bytes:
    said = repr((record.box, record.subject, record.side)).encode()
    return hashlib.sha256(record.path.read_bytes() + said).digest()


def landmark_count(records: Sequence[EarRecord]) -> int:
    """K, the number of landmarks the records agree on; 0 where none has any.

    Raises:
        DataError: they disagree.
    """
    counts = {len(record.landmarks) for record in records if record.landmarks is not None}
    if len(counts) > 1:
        raise DataError(f"pictures have {sorted(counts)} landmarks; every picture must have the same ones in one order")
    return counts.pop() if counts else 0
