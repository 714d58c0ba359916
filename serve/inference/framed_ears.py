"""A posted picture -> the ears that a call is about, framed for the model: all of it, a box, or what is detected.

Every route that takes a picture begins here. Knows the decode pool, the detector and the side rule; no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bundle.framing import Box
from bundle.image import Picture, frame
from bundle.landmarks import FoundEar
from client.options import Detect, Side
from serve.errors import BadRequest
from serve.inference.decode_pool import DecodePool, StoredCrop, oriented, stored_crop
from serve.inference.detection import found_ears
from serve.inference.engine import Engine
from serve.observability.request_context import Trace


@dataclass(frozen=True)
class FramedEar:
    """crop: the model's, (S, S, 3) uint8 in left orientation (as posted where the side is unknown).

    side: that the ear was taken for. box: in pixels of the upright picture. detected: what the detector saw, where it
    was asked. stored: what a gallery keeps, where that was asked.
    """

    crop: Picture
    side: Side
    box: Box | None = None
    detected: FoundEar | None = None
    stored: StoredCrop | None = None

    def place(self) -> dict[str, Any]:
        """The fields of `client.models.DetectedEar`; none where nothing was detected."""
        if self.detected is None:
            return {}
        return {"side": self.side, **place_of(self.detected)}


@dataclass(frozen=True)
class FramedEars:
    """ears: at least one; the first is the most certain. found: how many the photo shows (None: not detected)."""

    ears: tuple[FramedEar, ...]
    found: int | None = None

    @property
    def first(self) -> FramedEar:
        """The ear that an answer about one ear is about."""
        return self.ears[0]

    def detected(self) -> dict[str, Any]:
        """The fields of `client.models.Detected`; none where nothing was detected."""
        return {} if self.first.detected is None else {**place_of(self.first.detected), "ears_found": self.found}


def place_of(ear: FoundEar) -> dict[str, Any]:
    """Box, score and probability of the predicted side, rounded for an answer."""
    return {
        "box": [round(edge, 2) for edge in ear.box],
        "score": round(ear.score, 4),
        "side_probability": round(ear.side_probability, 4),
    }


def check_room(engine: Engine, pictures: int, detect: Detect) -> None:
    """Raise Overloaded now if pictures would be refused, and NotHere if ears cannot be detected."""
    if detect:
        _ = engine.finder
        engine.check_room_to_find()
    engine.encoder.check_room(pictures)


async def framed_ears(
    pool: DecodePool,
    engine: Engine,
    trace: Trace,
    data: bytes,
    side: Side = "unknown",
    box: Box | None = None,
    detect: Detect = False,
    keep: bool = False,
) -> FramedEars:
    """The ears of a picture file that a call is about.

    side: of the ear where the caller knows it: with detect, ears of the other side are passed over. keep: make what a
    gallery stores, too.
    Raises BadRequest where box and detect are both given, or no ear was found, and what decoding raises.
    """
    if not detect:
        return FramedEars((await _whole(pool, engine, trace, data, side, box, keep),))
    if box is not None:
        raise BadRequest("detect finds the box itself; give one or the other", "detect")
    async with found_ears(pool, engine, trace, data) as (photo, ears):
        chosen = [ear for ear in ears if side in ("unknown", ear.side)]
        if not chosen:
            raise BadRequest(_nothing(side, len(ears)), "detect")

        def crop(ear: FoundEar) -> FramedEar:
            cut = oriented(frame(photo.part, ear.box, engine.framing), ear.side)
            return FramedEar(cut, ear.side, ear.box, ear, stored_crop(photo.part, ear.box) if keep else None)

        taken = chosen if detect == "all" else chosen[:1]
        return FramedEars(tuple(await pool.run(trace, lambda: [crop(ear) for ear in taken])), len(ears))


async def _whole(
    pool: DecodePool, engine: Engine, trace: Trace, data: bytes, side: Side, box: Box | None, keep: bool
) -> FramedEar:
    if keep:
        crop, stored = await pool.for_gallery(trace, data, side, box, engine.framing)
        return FramedEar(crop, side, box, stored=stored)
    return FramedEar(await pool.crop(trace, data, side, box, engine.framing), side, box)


def _nothing(side: Side, others: int) -> str:
    if others:
        return f"no {side} ear was found in the picture, which shows {others} of the other side"
    return "no ear was found in the picture; give its box, or a picture that shows an ear"
