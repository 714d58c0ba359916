"""Picture files -> upright pictures and the model's crops, in a bounded pool of threads off the event loop.

Knows bundle's decoding and framing and the side rule; knows neither model nor HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bundle.framing import Box, Framing
from bundle.image import ImageLimits, Picture, decode, frame, mirror, source_crop, to_jpeg, to_png
from serve.inference.orientation import Side, is_mirrored
from serve.inference.thread_pool import Pool
from serve.observability.request_context import Trace

LOSSLESS_SIDE_PX = 256
"""Stored crops up to this side are kept as PNG, larger ones as JPEG: a 512 px PNG takes ten times the space."""
STORED_QUALITY = 95

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class StoredCrop:
    """What a gallery keeps of a posted picture: an encoded file without metadata, and the ear box in it."""

    file: bytes
    box: Box | None


class Intake:
    """A pool of decoding threads; `queue_size` jobs may wait or run. Its methods raise what `Pool.run` raises."""

    def __init__(self, workers: int, queue_size: int, limits: ImageLimits) -> None:
        self._pool = Pool(workers, queue_size, "decode", "too many pictures wait to be decoded")
        self._limits = limits

    async def run(self, trace: Trace, job: Callable[[], ResultT]) -> ResultT:
        """Run a job on a picture that came; what it took counts as decoding."""
        return await self._pool.run(trace, "decode", job)

    async def draw(self, trace: Trace, job: Callable[[], ResultT]) -> ResultT:
        """Run a job on pictures that are answered; what it took counts as serialising."""
        return await self._pool.run(trace, "serialise", job)

    async def crop(self, trace: Trace, data: bytes, side: Side, box: Box | None, framing: Framing) -> Picture:
        """A picture file -> the model's crop (S, S, 3) uint8 RGB in left orientation (as posted, where unknown)."""
        return await self.run(trace, lambda: oriented(frame(decode(data, self._limits), box, framing), side))

    async def picture(self, trace: Trace, data: bytes) -> Picture:
        """A picture file -> (H, W, 3) uint8 RGB, upright."""
        return await self.run(trace, lambda: decode(data, self._limits))

    async def for_gallery(
        self, trace: Trace, data: bytes, side: Side, box: Box | None, framing: Framing
    ) -> tuple[Picture, StoredCrop]:
        """A picture file -> the model's crop and what the gallery keeps of it."""

        def job() -> tuple[Picture, StoredCrop]:
            picture = decode(data, self._limits)
            return oriented(frame(picture, box, framing), side), stored_crop(picture, box)

        return await self.run(trace, job)

    def close(self) -> None:
        """Drop what waits; what runs ends by itself."""
        self._pool.close(wait=False)


def oriented(crop: Picture, side: Side) -> Picture:
    """The crop in left orientation; an ear of unknown side stays as posted."""
    return mirror(crop) if is_mirrored(side) else crop


def stored_crop(picture: Picture, box: Box | None) -> StoredCrop:
    """The posted ear with its surroundings, at most 512 px, encoded anew (so no EXIF, no place, no time is kept)."""
    crop, crop_box = source_crop(picture, box)
    lossless = max(crop.shape[:2]) <= LOSSLESS_SIDE_PX
    return StoredCrop(to_png(crop) if lossless else to_jpeg(crop, STORED_QUALITY), crop_box)
