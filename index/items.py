"""What a gallery holds and what may be asked of it: items, hits, filters, pages.

Plain frozen values that check themselves. They know neither SQL nor FAISS, and nothing about how a vector was computed.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.errors import BadFilter, BadItem

Side = Literal["left", "right"]
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the stored crop

SIDES: tuple[Side | None, ...] = ("left", "right", None)
TEXT_LIMIT = 256  # characters in a subject or a tag: they are names, not documents
SOURCE_LIMIT = 2048  # characters in a source: a path or an address
TAGS_LIMIT = 64
ITEM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
UNSTORABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and halves of characters


def composed(text: str) -> str:
    """The one spelling of a name: Unicode's composed form (NFC), without white space around it."""
    return unicodedata.normalize("NFC", text).strip()


@dataclass(frozen=True)
class Vectors:
    """What one encoder says about one ear: `mu` (D,) float32 feeds the decoder, `embedding` (D,) float32 finds ears."""

    mu: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class NewItem:
    """An ear to enrol. `crop` is the stored source crop as a file; `sha256` names the posted picture's content.

    `mu` and `embedding` are (D,) float32 in the gallery's active space; `also` holds the vectors of other live spaces,
    so that an item enrolled during a promotion is in both. `id`: the caller's own, for `Gallery.put`.
    """

    crop: bytes
    mu: NDArray[np.float32]
    embedding: NDArray[np.float32]
    subject: str | None = None
    side: Side | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None
    box: Box | None = None
    sha256: str | None = None
    also: Mapping[str, Vectors] = field(default_factory=dict)
    id: str | None = None

    def __post_init__(self) -> None:
        if self.id is not None and not ITEM_ID.fullmatch(self.id):
            raise BadItem(f"id is {self.id!r:.80}: give 1 to 64 of A-Z a-z 0-9 . _ : -, the first a letter or digit")
        subject, tags = check_labels(self.subject, self.side, self.tags)
        object.__setattr__(self, "subject", subject)
        object.__setattr__(self, "tags", tags)
        object.__setattr__(self, "source", check_text("source", self.source, SOURCE_LIMIT))
        check_box(self.box)
        if not self.crop:
            raise BadItem("crop is empty (0 bytes): give the encoded picture to be stored")

    @property
    def content(self) -> str:
        """Hex sha256 of the posted picture, of the crop where the caller gave none."""
        return self.sha256 or hashlib.sha256(self.crop).hexdigest()


def content_hash(data: bytes, box: Box | None) -> str:
    """Names an ear by its picture: hex sha256 of the file, and of the box where one says which ear is meant."""
    meant = "" if box is None else repr(tuple(map(float, box)))
    return hashlib.sha256(data + meant.encode()).hexdigest()


@dataclass(frozen=True)
class Item:
    """An enrolled ear. `seq` is the number of its last change; `created` is UTC, ISO 8601."""

    id: str
    seq: int
    subject: str | None
    side: Side | None
    tags: tuple[str, ...]
    source: str | None
    sha256: str
    created: str
    box: Box | None


@dataclass(frozen=True)
class Hit:
    """A found item and its cosine similarity to the query, in [-1, 1]."""

    item: Item
    similarity: float


@dataclass(frozen=True)
class SubjectHit:
    """A found subject: its nearest items, best first, and the similarity of the best.

    An item without a subject stands for itself: `subject` is None and there is one hit.
    """

    subject: str | None
    similarity: float
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Page:
    """Some items in the order of enrolment, and the cursor of the next page (None: this was the last)."""

    items: tuple[Item, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class Filter:
    """Which items may be found. An empty tuple asks nothing; every part that asks must hold.

    `subjects`: one of these. `sides`: one of these, where None means "side unknown". `tags`: all of these.
    `exclude_subjects`: none of these (items without a subject stay). `item_ids`: one of these. `exclude_item_ids`: none
    of these.
    """

    subjects: tuple[str, ...] = ()
    sides: tuple[Side | None, ...] = ()
    tags: tuple[str, ...] = ()
    exclude_subjects: tuple[str, ...] = ()
    item_ids: tuple[str, ...] = ()
    exclude_item_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (part.name for part in fields(self)):
            if isinstance(getattr(self, name), str):
                raise BadFilter(f"filter {name} is the string {getattr(self, name)!r}: give a list of values")
            values = tuple(getattr(self, name))
            named = name in ("subjects", "tags", "exclude_subjects")
            object.__setattr__(self, name, tuple(map(composed, values)) if named else values)
        wrong = [side for side in self.sides if side not in SIDES]
        if wrong:
            raise BadFilter(f"filter sides holds {wrong[0]!r}: allowed are 'left', 'right' and None (side unknown)")

    def __bool__(self) -> bool:
        return any(getattr(self, part.name) for part in fields(self))


@dataclass(frozen=True)
class Probe:
    """One vector of a query, and the items that it may meet; a query of several counts an item's best similarity.

    `embedding`: (D,) float32 of any length above 0. An ear of unknown side has two probes, one of each orientation.
    """

    embedding: NDArray[np.float32]
    filter: Filter = Filter()


def check_labels(subject: str | None, side: str | None, tags: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Subject and tags as they are stored. Raises BadItem for what cannot be stored or searched for."""
    subject = check_text("subject", subject, TEXT_LIMIT)
    if side not in SIDES:
        raise BadItem(f"side is {side!r}: allowed are 'left', 'right' and None (unknown)")
    if isinstance(tags, str):
        raise BadItem(f"tags is the string {tags!r}: give a list of tags")
    if len(tags) > TAGS_LIMIT:
        raise BadItem(f"{len(tags)} tags given: at most {TAGS_LIMIT} are allowed")
    checked = (check_text("tag", tag, TEXT_LIMIT) for tag in tags)
    return subject, tuple(dict.fromkeys(tag for tag in checked if tag is not None))


def check_text(name: str, text: str | None, limit: int) -> str | None:
    """A name as it is stored, `composed`. Raises BadItem for an empty or overlong one and for control characters."""
    if text is None:
        return None
    stored = composed(text) if isinstance(text, str) else ""
    if not 1 <= len(stored) <= limit or UNSTORABLE.search(stored):
        raise BadItem(f"{name} is {text!r:.80}: give 1 to {limit} characters, none of them a control character")
    return stored


def source_of(file_name: str) -> str | None:
    """A file's name as the `source` of an item: it never fails, what cannot be stored of it becomes U+FFFD."""
    return composed(UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", file_name))[:SOURCE_LIMIT].strip() or None


def check_box(box: Box | None) -> None:
    """Refuse a box that is not four finite numbers with x1 < x2 and y1 < y2."""
    if box is None:
        return
    if len(box) != 4 or not all(map(math.isfinite, box)) or box[0] >= box[2] or box[1] >= box[3]:
        raise BadItem(f"box is {box}: give finite x1, y1, x2, y2 in pixels with x1 < x2 and y1 < y2")
