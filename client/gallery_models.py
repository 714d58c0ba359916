"""What the service answers about its gallery: items, duplicates, drift, imports, exports. See `models`."""

from __future__ import annotations

from dataclasses import dataclass

from client.models import Component, Detected, Timings
from client.options import CopyKind, Side, Vector


@dataclass(frozen=True)
class Item:
    """An enrolled ear. box: in pixels of the stored picture."""

    id: str
    subject: str | None
    side: Side
    tags: list[str]
    source: str | None
    sha256: str
    created: str
    box: list[float] | None
    image_url: str
    space_id: str | None = None


@dataclass(frozen=True)
class Enrolled(Item):
    """The item that a call made. score, side_probability, ears_found: with detect, see `models.DetectedEar`.

    items: with detect=all, one for each ear of the photo, the most certain first. taken_as, side_probability: how an
    ear of unknown side lies, by the encoder's certainty; its side stays unknown, and searches of either side meet it.
    """

    score: float | None = None
    side_probability: float | None = None
    ears_found: int | None = None
    items: list[Item] | None = None
    taken_as: Side | None = None


@dataclass(frozen=True)
class PictureRefusal:
    """Why a picture of several was not enrolled; as the error of a call with that picture alone."""

    message: str
    type: str
    code: str
    param: str | None = None


@dataclass(frozen=True)
class EnrolledPicture:
    """What became of one picture of several. status: 201 enrolled, 200 it was there already, else as of `error`.

    items: its ear; with detect=all an item for each ear, the most certain first. ears_found: with detect.
    """

    status: int
    items: list[Item]
    ears_found: int | None = None
    error: PictureRefusal | None = None


@dataclass(frozen=True)
class EnrolledMany:
    """results: of each picture, in order. enrolled, known, failed: how many are new, there already, neither."""

    results: list[EnrolledPicture]
    enrolled: int
    known: int
    failed: int
    space_id: str
    bundle_id: str
    timing_ms: Timings


@dataclass(frozen=True)
class ItemVectors:
    """The stored vectors of an item; embedding, mu: (1024,) float32 in left orientation, the first of length 1."""

    id: str
    embedding: Vector
    mu: Vector
    side: Side
    space_id: str
    bundle_id: str


@dataclass(frozen=True)
class Page:
    """Some items; `next_cursor` is None on the last page."""

    items: list[Item]
    next_cursor: str | None
    total: int


@dataclass(frozen=True)
class Deleted:
    """How many items a call deleted."""

    deleted: int


@dataclass(frozen=True, kw_only=True)
class Explanation(Detected):
    """Why two ears are near or far. agree, differ: eigenears (None where the bundle has none)."""

    item: Item
    similarity: float
    query_mirrored: bool
    agree: list[Component] | None
    differ: list[Component] | None
    query_image: bytes
    item_image: bytes
    difference: bytes
    morph: list[bytes]
    space_id: str
    bundle_id: str
    timing_ms: Timings


@dataclass(frozen=True)
class Duplicate:
    """Two ears of which one is enough. similarity: cosine, -1 to 1; same_picture: their content is equal."""

    earlier: Item
    later: Item
    similarity: float
    same_picture: bool


@dataclass(frozen=True)
class Duplicates:
    """Those among some items; `next_cursor` is None when the whole gallery was looked at."""

    pairs: list[Duplicate]
    looked_at: int
    next_cursor: str | None


@dataclass(frozen=True)
class Drift:
    """The last ears beside a sample of those before; figures are None where there are too few.

    nearest_recent, nearest_earlier: median cosine to the nearest earlier ear of somebody else. far_share: share of the
    recent ears that are farther from all than 95 % of the earlier ones. moved: of the mean, in spreads. quality: by
    part, medians over the pictures that the model redrew. advice: in plain words.
    """

    space_id: str
    bundle_id: str
    items: int
    recent: int
    earlier: int
    since: str | None
    nearest_recent: float | None
    nearest_earlier: float | None
    far_share: float | None
    moved: float | None
    quality: dict[str, dict[str, float] | None]
    advice: list[str]
    timing_ms: Timings


@dataclass(frozen=True)
class Import:
    """A bulk import. enrolled, known, failed: pictures; known: the gallery held them already, by content. updated: of
    these, those that got other labels.

    state: running, done, stopped (with the service) or failed. failures: the first pictures that failed, and why.
    """

    id: str
    source: str
    state: str
    enrolled: int
    known: int
    updated: int
    failed: int
    failures: list[str]
    error: str | None

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.state != "running"

    @property
    def complete(self) -> bool:
        """Every picture of the source was dealt with."""
        return self.state == "done"


@dataclass(frozen=True)
class ImportList:
    """The imports since the service started, the oldest first."""

    imports: list[Import]


@dataclass(frozen=True)
class Export:
    """A copy of the gallery. target: a folder on the service's machine; items: ears in it."""

    target: str
    kind: CopyKind
    items: int
