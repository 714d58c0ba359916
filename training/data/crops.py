"""Records -> framed crops in left orientation: the pixels that training sees are the pixels that the service sees.

Decoding and framing are `bundle.image`'s. Knows neither tensors nor augmentation.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bundle import image
from bundle.errors import BundleError
from bundle.framing import Framing, square
from common.progress import log_progress
from common.records.record import EarRecord
from training.data.trained_on import Digest, picture_digest
from training.errors import DataError

log = logging.getLogger(__name__)

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

    def __call__(self, record: EarRecord, data: bytes | None = None) -> Framed:
        """Decode, frame, and mirror a right ear.

        Args:
            record: what is known of the picture.
            data: its encoded bytes, where they were read already.

        Raises:
            BundleError: the picture cannot be decoded or framed.
            OSError, ValueError: it cannot be read.
        """
        picture = image.decode(record.read() if data is None else data)
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


class Examined(NamedTuple):
    """What one pass over all pictures gave."""

    kept: list[EarRecord]
    digests: list[Digest]
    """Of the files of `kept`."""
    items: list[Framed]
    """The framed ears of `kept`; empty where `hold` was False."""
    refused: list[str]
    """One line for each picture that cannot be used."""
    sha256: str
    """Of every file's bytes with its box, subject and side, in order: the data's fingerprint."""


def examine(
    records: Sequence[EarRecord], framer: Framer, what: str = "pictures", *, hold: bool = True, threads: int = 2
) -> Examined:
    """Open every picture once: find those that cannot be used before hours of training do, and fingerprint the data.

    Progress is logged as "reading `what`".
    """
    examined = Examined([], [], [], [], "")
    total = hashlib.sha256()
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        results = pool.map(lambda record: _examine_one(record, framer, hold), records)
        for number, (record, (framed, digest, said)) in enumerate(zip(records, results, strict=True)):
            total.update(said)
            if isinstance(framed, str):
                examined.refused.append(f"{record.path}: {framed}")
            else:
                examined.kept.append(record)
                examined.digests.append(digest)
                examined.items.extend([framed] if framed is not None else [])
            log_progress(log, f"reading {what}", number + 1, len(records))
    return examined._replace(sha256=total.hexdigest())


def _examine_one(record: EarRecord, framer: Framer, hold: bool) -> tuple[Framed | str | None, Digest, bytes]:
    """The crop (None unless `hold`) or why there is none, the digest of the file, and of file and labels."""
    said = repr((record.box, record.subject, record.side)).encode("utf-8", "surrogateescape")
    try:
        data = record.read()
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}", b"", hashlib.sha256(said).digest()
    digest = hashlib.sha256(data + said).digest()
    try:
        framed = framer(record, data)
    except BundleError as error:
        return str(error), b"", digest
    return framed if hold else None, picture_digest(data), digest


def examine_all(records: Sequence[EarRecord], framer: Framer, what: str) -> Examined:
    """`examine`, with the crops.

    Raises:
        DataError: none of the pictures can be used.
    """
    examined = examine(records, framer, what)
    if not examined.items:
        raise DataError(f"none of the {len(records)} {what} can be used; the first: {examined.refused[0]}")
    return examined


def landmark_count(records: Sequence[EarRecord]) -> int:
    """K, the number of landmarks the records agree on; 0 where none has any.

    Raises:
        DataError: they disagree.
    """
    counts = {len(record.landmarks) for record in records if record.landmarks is not None}
    if len(counts) > 1:
        raise DataError(f"pictures have {sorted(counts)} landmarks; every picture must have the same ones in one order")
    return counts.pop() if counts else 0
