"""What the service answers of a gallery as a whole, as values: doubles, drift, bulk import and export.

Names are those of the JSON, as in `client.models`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from client.models import Item, known


@dataclass(frozen=True)
class Duplicate:
    """Two ears of which one is enough. similarity: cosine, -1 to 1; same_picture: their content is equal."""

    earlier: Item
    later: Item
    similarity: float
    same_picture: bool

    @classmethod
    def read(cls, body: dict[str, Any]) -> Duplicate:
        both = {name: Item.read(body[name]) for name in ("earlier", "later")}
        return cls(**{**known(cls, body), **both})


@dataclass(frozen=True)
class Duplicates:
    """Those among some items; `next_cursor` is None when the whole gallery was looked at."""

    pairs: list[Duplicate]
    looked_at: int
    next_cursor: str | None

    @classmethod
    def read(cls, body: dict[str, Any]) -> Duplicates:
        return cls([Duplicate.read(one) for one in body["pairs"]], body["looked_at"], body["next_cursor"])


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

    @classmethod
    def read(cls, body: dict[str, Any]) -> Drift:
        return cls(**known(cls, body))


@dataclass(frozen=True)
class Import:
    """A bulk import. enrolled, known, failed: pictures; known: the gallery held them already, by content.

    state: running, done, stopped (with the service) or failed. failures: the first pictures that failed, and why.
    """

    id: str
    source: str
    state: str
    enrolled: int
    known: int
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

    @classmethod
    def read(cls, body: dict[str, Any]) -> Import:
        return cls(**known(cls, body))


@dataclass(frozen=True)
class Export:
    """A copy of the gallery. target: a folder on the service's machine; items: ears in it."""

    target: str
    kind: str
    items: int

    @classmethod
    def read(cls, body: dict[str, Any]) -> Export:
        return cls(**known(cls, body))
