"""A posted picture -> the ears that a call is about, framed for the model: all of it, a box, or what is detected.

Every route that takes a picture begins here. Knows the decode pool, the detector and the side rule; no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bundle.framing import Box
from bundle.image import Picture, mirror
from bundle.landmarks import FoundEar
from client.options import Detect, FramingOptions, Side
from serve.errors import BadRequest, PictureRefused
from serve.inference.decode_pool import DecodePool, StoredCrop, stored_crop
from serve.inference.detection import SeenEar, crop_of, seen_ears
from serve.inference.encoded import Encoded, left_of
from serve.inference.engine import Engine
from serve.inference.quality import ear_likeness
from serve.observability.request_context import Trace


@dataclass(frozen=True)
class Limits:
    """What an ear must reach to be taken: likeness to an ear, and the detector's score; None: nothing is asked."""

    min_quality: float | None = None
    min_score: float | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True)
class FramedEar:
    """crop: the model's, (S, S, 3) uint8 in left orientation (as posted where the side is unknown).

    side: that the ear was taken for. box: in pixels of the upright picture. detected: what the detector saw, where it
    was asked. stored: what a gallery keeps, where that was asked. encoded: of the crop, where it was needed already.
    guess: the probability of the side, where nobody said it and the encoder's certainty decided.
    """

    crop: Picture
    side: Side
    box: Box | None = None
    detected: FoundEar | None = None
    stored: StoredCrop | None = None
    encoded: Encoded | None = None
    guess: float | None = None

    @property
    def told_side(self) -> Side:
        """The side by the caller or the detector; "unknown" where the encoder guessed it."""
        return self.side if self.guess is None else "unknown"

    def guessed(self) -> dict[str, Any]:
        """The side and its probability, where the encoder guessed it."""
        return {} if self.guess is None else {"side": self.side, "side_probability": round(self.guess, 4)}

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
        """The fields of `client.models.Detected`; where nothing was detected, only those of a guessed side."""
        if self.first.detected is not None:
            return {**place_of(self.first.detected), "ears_found": self.found}
        return {name: value for name, value in self.first.guessed().items() if name == "side_probability"}


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
    limits: Limits = NO_LIMITS,
    tiles: bool = False,
) -> FramedEars:
    """The ears of a picture file that a call is about.

    side: of the ear where the caller knows it: with detect, ears of the other side are passed over. Where nobody knows
    it and the encoder tells how sure it is, the surer orientation is taken. keep: make what a gallery stores, too.
    limits: ears below them are passed over. tiles: detect in parts of the photo as well.
    Raises BadRequest where box and detect are both given, or no ear was found, PictureRefused where all are below the
    limits, and what decoding and encoding raise.
    """
    if not detect:
        if limits.min_score is not None:
            raise BadRequest("min_score is of the detector's score: say detect too", "min_score")
        if tiles:
            raise BadRequest("tiles are what ears are looked for in: say detect too", "tiles")
        ear = await _whole(pool, engine, trace, data, side, box, keep)
        if side == "unknown" and engine.has_spread:
            ear = await _surer(engine, trace, ear)
        return await _of_quality(pool, engine, trace, FramedEars((ear,)), limits)
    if box is not None:
        raise BadRequest("detect finds the box itself; give one or the other", "detect")
    async with seen_ears(pool, engine, trace, data, tiles=tiles) as (photo, seen):
        chosen = [one for one in seen if side in ("unknown", one.ear.side)]
        if not chosen:
            raise BadRequest(_nothing(side, len(seen)), "detect")

        def framed_ear(one: SeenEar) -> FramedEar:
            ear, stored = one.ear, stored_crop(photo.part, one.ear.box, one.ear.turns) if keep else None
            crop = crop_of(photo, ear, engine.framing) if one.crop is None else one.crop
            return FramedEar(crop, ear.side, ear.box, ear, stored, one.encoded)

        taken = _of_score(chosen if detect == "all" else chosen[:1], limits)
        framed = FramedEars(tuple(await pool.run(trace, lambda: [framed_ear(one) for one in taken])), len(seen))
    return await _of_quality(pool, engine, trace, framed, limits)


async def ears_asked_for(
    pool: DecodePool,
    engine: Engine,
    trace: Trace,
    data: bytes,
    options: FramingOptions,
    keep: bool = False,
    limits: Limits = NO_LIMITS,
) -> FramedEars:
    """`framed_ears` as the options of a call say."""
    side, box, detect, tiles = options["side"], options.get("box"), options["detect"], options["tiles"]
    return await framed_ears(pool, engine, trace, data, side, box, detect, keep, limits, tiles)


async def encoded_ears(engine: Engine, trace: Trace, ears: Sequence[FramedEar]) -> list[Encoded]:
    """What the encoder says of each ear; those that were encoded while they were framed are not encoded again."""
    missing = [ear for ear in ears if ear.encoded is None]
    fresh = iter(await engine.encode(trace, [ear.crop for ear in missing]) if missing else [])
    return [ear.encoded or next(fresh) for ear in ears]


async def _surer(engine: Engine, trace: Trace, ear: FramedEar) -> FramedEar:
    """An ear of unknown side in the orientation in which its landmarks are surer: that of a left ear."""
    posted, turned = await engine.encode(trace, [ear.crop, mirror(ear.crop)])
    encoded, guess = left_of(posted, turned)
    if encoded is posted:
        return replace(ear, side="left", encoded=posted, guess=guess)
    return replace(ear, side="right", crop=mirror(ear.crop), encoded=turned, guess=guess)


def _of_score(seen: Sequence[SeenEar], limits: Limits) -> list[SeenEar]:
    """Those that the detector is sure enough of. Raises PictureRefused where there is none."""
    kept = [one for one in seen if limits.min_score is None or one.ear.score >= limits.min_score]
    if not kept:
        best = max(one.ear.score for one in seen)
        raise PictureRefused(
            f"the detector's score is {best:.4f}; min_score asks for {limits.min_score:g}: is this an ear?", "min_score"
        )
    return kept


async def _of_quality(pool: DecodePool, engine: Engine, trace: Trace, framed: FramedEars, limits: Limits) -> FramedEars:
    """Those that are like enough to an ear. Raises PictureRefused where there is none."""
    if limits.min_quality is None:
        return framed
    encoded = await encoded_ears(engine, trace, framed.ears)
    likeness = [engine.likeness(one) for one in encoded]
    if None in likeness:
        decoded = await engine.decode(trace, [one.mu for one in encoded])
        pairs = [(ear.crop, again) for ear, again in zip(framed.ears, decoded, strict=True)]
        likeness = await pool.run(trace, lambda: [ear_likeness(*pair, engine.reference) for pair in pairs])
    values = [value or 0.0 for value in likeness]
    ears = [replace(ear, encoded=one) for ear, one in zip(framed.ears, encoded, strict=True)]
    kept = tuple(ear for ear, value in zip(ears, values, strict=True) if value >= limits.min_quality)
    if not kept:
        raise PictureRefused(
            f"the likeness to an ear is {max(values):.4f}; min_quality asks for {limits.min_quality:g}: is this an "
            "ear, cut closely?",
            "min_quality",
        )
    return FramedEars(kept, framed.found)


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
