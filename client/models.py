"""What the service answers, as values for Python programs. Names are those of the JSON."""

from __future__ import annotations

import base64
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Side = Literal["left", "right", "unknown"]


@dataclass(frozen=True)
class Embedding:
    """One ear. embedding, mu: (1024,) float32; the first has length 1. What was not asked for is None.

    eigenears: standard deviations along each. box, score: of the ear that was found in a photo, pixels and 0 to 1.
    """

    embedding: Vector
    side: str
    space_id: str
    bundle_id: str
    timing_ms: dict[str, float]
    mu: Vector | None = None
    quality: dict[str, Any] | None = None
    eigenears: list[float] | None = None
    box: list[float] | None = None
    score: float | None = None

    @classmethod
    def read(cls, body: dict[str, Any]) -> Embedding:
        vectors: dict[str, Any] = {n: np.asarray(body[n], np.float32) for n in ("embedding", "mu") if n in body}
        return cls(**{**known(cls, body), **vectors})


@dataclass(frozen=True)
class Landmark:
    """A named place of an ear, pixels of the upright photo. visibility: probability that it is seen, not covered."""

    name: str
    x: float
    y: float
    visibility: float

    @classmethod
    def read(cls, body: dict[str, Any]) -> Landmark:
        return cls(**known(cls, body))


@dataclass(frozen=True)
class Ear:
    """An ear in a photo. box: x1, y1, x2, y2 in pixels of the upright photo; score, side_probability: 0 to 1."""

    box: list[float]
    score: float
    side: str
    side_probability: float
    landmarks: list[Landmark]

    @classmethod
    def read(cls, body: dict[str, Any]) -> Ear:
        return cls(**{**known(cls, body), "landmarks": [Landmark.read(one) for one in body["landmarks"]]})


@dataclass(frozen=True)
class Photo:
    """A photo, its size in pixels, and its ears, the most certain first."""

    ears: list[Ear]
    width: int
    height: int
    space_id: str
    bundle_id: str
    timing_ms: dict[str, float]

    @classmethod
    def read(cls, body: dict[str, Any]) -> Photo:
        return cls(**{**known(cls, body), "ears": [Ear.read(one) for one in body["ears"]]})


@dataclass(frozen=True)
class Reconstruction:
    """image, input: PNG files of the reconstruction and of the framed picture."""

    image: bytes
    input: bytes
    psnr_db: float
    ssim: float
    space_id: str
    bundle_id: str
    timing_ms: dict[str, float]

    @classmethod
    def read(cls, body: dict[str, Any]) -> Reconstruction:
        return cls(**{**known(cls, body), "image": png_of(body["image"]), "input": png_of(body["input"])})


@dataclass(frozen=True)
class Hit:
    """A found ear. similarity: cosine, -1 to 1."""

    rank: int
    item_id: str
    subject: str | None
    side: str
    similarity: float
    tags: list[str]
    source: str | None
    created: str
    image_url: str

    @classmethod
    def read(cls, body: dict[str, Any]) -> Hit:
        return cls(**known(cls, body))


@dataclass(frozen=True)
class Found:
    """The answer of a search, best first."""

    hits: list[Hit]
    searched: int
    space_id: str
    bundle_id: str
    timing_ms: dict[str, float]

    @classmethod
    def read(cls, body: dict[str, Any]) -> Found:
        return cls(**{**known(cls, body), "hits": [Hit.read(hit) for hit in body["hits"]]})


@dataclass(frozen=True)
class SubjectHit:
    """A found person with the nearest of their ears; an ear of nobody's (subject None) stands for itself."""

    rank: int
    subject: str | None
    similarity: float
    hits: list[Hit]

    @classmethod
    def read(cls, body: dict[str, Any]) -> SubjectHit:
        return cls(**{**known(cls, body), "hits": [Hit.read(hit) for hit in body["hits"]]})


@dataclass(frozen=True)
class FoundSubjects:
    """The answer of a search for persons, best first."""

    subjects: list[SubjectHit]
    searched: int
    space_id: str
    bundle_id: str
    timing_ms: dict[str, float]

    @classmethod
    def read(cls, body: dict[str, Any]) -> FoundSubjects:
        return cls(**{**known(cls, body), "subjects": [SubjectHit.read(one) for one in body["subjects"]]})


@dataclass(frozen=True)
class Verdict:
    """Whether two pictures show one ear; all but the similarity are None without a calibration.

    far: the rate at which the decision accepts different ears. Where a side is unknown two orientations are compared:
    `far` is twice the rate asked for, an upper bound, and `probability` and `tar` are lower bounds.
    """

    similarity: float
    probability: float | None
    same: bool | None
    far: float | None
    threshold: float | None
    tar: float | None
    calibrated: bool
    space_id: str
    bundle_id: str

    @classmethod
    def read(cls, body: dict[str, Any]) -> Verdict:
        return cls(**known(cls, body))


@dataclass(frozen=True)
class Item:
    """An enrolled ear. box: in pixels of the stored picture."""

    id: str
    subject: str | None
    side: str
    tags: list[str]
    source: str | None
    sha256: str
    created: str
    box: list[float] | None
    image_url: str

    @classmethod
    def read(cls, body: dict[str, Any]) -> Item:
        return cls(**known(cls, body))


@dataclass(frozen=True)
class Page:
    """Some items; `next_cursor` is None on the last page."""

    items: list[Item]
    next_cursor: str | None
    total: int

    @classmethod
    def read(cls, body: dict[str, Any]) -> Page:
        return cls([Item.read(item) for item in body["items"]], body["next_cursor"], body["total"])


@dataclass(frozen=True)
class Explanation:
    """Why two ears are near or far. agree, differ: eigenears (None without any). Pictures are PNG files."""

    item: Item
    similarity: float
    query_mirrored: bool
    agree: list[dict[str, float]] | None
    differ: list[dict[str, float]] | None
    query_image: bytes
    item_image: bytes
    difference: bytes
    morph: list[bytes]

    @classmethod
    def read(cls, body: dict[str, Any]) -> Explanation:
        pictures = {name: png_of(body[name]) for name in ("query_image", "item_image", "difference")}
        morph = [png_of(uri) for uri in body["morph"]]
        return cls(**{**known(cls, body), **pictures, "item": Item.read(body["item"]), "morph": morph})


def png_of(data_uri: str) -> bytes:
    """The file in a `data:` URI."""
    return base64.b64decode(data_uri.partition(",")[2])


def known(kind: type[Any], body: dict[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: a newer service may tell more."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in body.items() if name in names}
