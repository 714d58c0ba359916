"""Picture files -> the model's crops, in a bounded pool of threads off the event loop and within a budget of memory.

Callers are served in turn, so that one with many or large pictures delays the others little. Knows bundle's decoding
and framing and the side rule; knows neither model nor HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from bundle.decoding import ImageLimits, Picture
from bundle.framing import Box, Framing
from bundle.image import frame, mirror, part_for, source_crop, to_jpeg, to_png, turn, turn_box
from bundle.landmarks import Letterboxed, letterbox
from bundle.photo import EXACT_PIXELS, Part, PictureFile
from serve.errors import BodyTooLarge, DeadlineExceeded, Overloaded
from serve.inference.fair_limit import FairLimit, Held
from serve.inference.orientation import Side, is_mirrored
from serve.observability.request_context import Trace

LOSSLESS_SIDE_PX = 256
"""Stored crops up to this side are kept as PNG, larger ones as JPEG: a 512 px PNG takes ten times the space."""
STORED_QUALITY = 95
SMALL_BYTES = 4 << 20
"""A picture that takes no more than this is decoded without asking for memory: one for each thread."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class DecodeLimits:
    """What a decode pool takes on.

    threads: that decode. queue_size: jobs that may wait or run. memory_bytes: for pictures that are being decoded or
    wait for the detector. request_pixels: of all pictures of one request together.
    """

    threads: int
    queue_size: int
    memory_bytes: int
    request_pixels: int
    image: ImageLimits = ImageLimits()


@dataclass(frozen=True)
class StoredCrop:
    """What a gallery keeps of a posted picture: an encoded file without metadata, and the ear box in it."""

    file: bytes
    box: Box | None


@dataclass(frozen=True)
class Photo:
    """A photo for the detector: its letterboxed square, and a bounded copy from which ears are cut."""

    square: Letterboxed
    part: Part

    @property
    def width(self) -> int:
        """Of the whole photo, upright, in pixels."""
        return self.part.width

    @property
    def height(self) -> int:
        """Of the whole photo, upright, in pixels."""
        return self.part.height


class DecodePool:
    """Decoding threads. Methods raise Overloaded: DeadlineExceeded where there was room and the time was over first."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self._executor = ThreadPoolExecutor(limits.threads, thread_name_prefix="decode")
        self._threads = FairLimit(limits.threads, "a thread that decodes")
        self._memory = FairLimit(limits.memory_bytes, f"memory for large pictures ({limits.memory_bytes >> 20} MiB)")
        self._room = limits.queue_size

    async def run(self, trace: Trace, job: Callable[[], ResultT]) -> ResultT:
        """Run a job on a picture that was posted; what it took counts as decoding."""
        with trace.timed("decode"):
            return await self._run(trace, job)

    async def draw(self, trace: Trace, job: Callable[[], ResultT]) -> ResultT:
        """Run a job on pictures that are answered; what it took counts as serialising."""
        with trace.timed("serialise"):
            return await self._run(trace, job)

    async def crop(self, trace: Trace, data: bytes, side: Side, box: Box | None, framing: Framing) -> Picture:
        """A picture file -> the model's crop (S, S, 3) uint8 RGB in left orientation (as posted, where unknown)."""
        return await self._decoded(trace, data, framing, lambda file: oriented(_framed(file, box, framing), side))

    async def for_gallery(
        self, trace: Trace, data: bytes, side: Side, box: Box | None, framing: Framing
    ) -> tuple[Picture, StoredCrop]:
        """A picture file -> the model's crop and what the gallery keeps of it."""

        def job(file: PictureFile) -> tuple[Picture, StoredCrop]:
            part = part_for(file, box, framing)
            return oriented(frame(part, box, framing), side), stored_crop(part, box)

        return await self._decoded(trace, data, framing, job)

    @asynccontextmanager
    async def photo(
        self, trace: Trace, data: bytes, framing: Framing, most_pixels: int = EXACT_PIXELS
    ) -> AsyncIterator[Photo]:
        """A picture file as a photo in which ears are to be found, in one job; its memory is kept until the end.

        most_pixels: of the copy from which ears are cut.
        """
        with trace.timed("decode"):
            file = await self._run(trace, lambda: self._opened(data, framing))
        more_bytes = 3 * max(min(file.pixels, most_pixels) - EXACT_PIXELS, 0)
        async with self._memory_for(trace, file, more_bytes) as held:
            with trace.timed("decode"):
                photo = await self._run(trace, lambda: _photo(file, most_pixels))
            held.reduce(photo.part.pixels.nbytes + photo.square.picture.nbytes)
            yield photo

    def close(self) -> None:
        """Drop what waits; what runs ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _decoded(
        self, trace: Trace, data: bytes, framing: Framing, job: Callable[[PictureFile], ResultT]
    ) -> ResultT:
        """Run a job on a picture file: a small one at once, a larger one when there is memory for it."""

        def begin() -> tuple[PictureFile, ResultT | None]:
            file = self._opened(data, framing)
            return file, job(file) if file.cost_bytes <= SMALL_BYTES else None

        with trace.timed("decode"):
            file, done = await self._run(trace, begin)
            if done is not None:
                return done
            async with self._memory_for(trace, file):
                return await self._run(trace, lambda: job(file))

    def _opened(self, data: bytes, framing: Framing) -> PictureFile:
        file = PictureFile(data, self.limits.image, framing.alpha_grey)
        file.refuse_above(self.limits.memory_bytes)
        return file

    @asynccontextmanager
    async def _memory_for(self, trace: Trace, file: PictureFile, more_bytes: int = 0) -> AsyncIterator[Held]:
        trace.pixels += file.pixels
        if trace.pixels > self.limits.request_pixels:
            raise BodyTooLarge(
                f"the pictures of this request have {trace.pixels:,} pixels or more; at most "
                f"{self.limits.request_pixels:,} are taken at once: send fewer in one request"
            )
        async with self._memory.hold(trace.turn, file.cost_bytes + more_bytes + SMALL_BYTES, trace.deadline) as held:
            yield held

    async def _run(self, trace: Trace, job: Callable[[], ResultT]) -> ResultT:
        """Run a job on a thread when it is the caller's turn. One that has not begun is dropped on cancel."""
        if self._room <= 0:
            raise Overloaded("too many pictures wait to be decoded")
        self._room -= 1
        try:
            async with self._threads.hold(trace.turn, 1, trace.deadline):
                if time.monotonic() >= trace.deadline:
                    raise DeadlineExceeded()
                running = asyncio.get_running_loop().run_in_executor(self._executor, job)
                try:
                    return await asyncio.shield(running)
                except asyncio.CancelledError:
                    await asyncio.wait({running})  # its thread and its memory are in use until then
                    running.exception()
                    raise
        finally:
            self._room += 1


def _framed(file: PictureFile, box: Box | None, framing: Framing) -> Picture:
    return frame(part_for(file, box, framing), box, framing)


def _photo(file: PictureFile, most_pixels: int) -> Photo:
    part = file.whole(most_pixels)
    return Photo(letterbox(part), part)


def oriented(crop: Picture, side: Side) -> Picture:
    """The crop in left orientation; an ear of unknown side stays as posted."""
    return mirror(crop) if is_mirrored(side) else crop


def stored_crop(picture: Picture | Part, box: Box | None, turns: int = 0) -> StoredCrop:
    """The posted ear with its surroundings, at most 512 px, encoded anew (so no EXIF, no place, no time is kept).

    turns: quarter turns anticlockwise that make the ear upright.
    """
    crop, crop_box = source_crop(picture, box)
    if turns and crop_box is not None:
        crop, crop_box = turn(crop, turns), turn_box(crop_box, turns, crop.shape[1], crop.shape[0])
    lossless = max(crop.shape[:2]) <= LOSSLESS_SIDE_PX
    return StoredCrop(to_png(crop) if lossless else to_jpeg(crop, STORED_QUALITY), crop_box)
