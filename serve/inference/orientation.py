"""Which way round an ear is encoded, and which stored ears a query may meet.

Vectors live in LEFT orientation: a known right ear is mirrored before encoding. An ear of unknown side is stored as it
was posted, so it may lie in either orientation. Pure values: knows no pictures, no model, no gallery, no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["left", "right", "unknown"]
StoredSide = Literal["left", "right"] | None


@dataclass(frozen=True)
class Probe:
    """One search that a query makes.

    mirrored: the posted picture is mirrored before it is encoded.
    sides: sides of the stored items that may answer (None among them = side unknown); empty = any item.
    """

    mirrored: bool
    sides: tuple[StoredSide, ...] = ()


def stored_side(side: Side) -> StoredSide:
    """The side as the gallery stores it: None where it is unknown."""
    return None if side == "unknown" else side


def shown_side(side: StoredSide) -> Side:
    """The side as answers show it."""
    return side or "unknown"


def is_mirrored(side: Side) -> bool:
    """Whether a picture of this side is mirrored before encoding (and its reconstruction mirrored back)."""
    return side == "right"


def probes(side: Side, *, cross_ear: bool, unknown_items: bool) -> tuple[Probe, ...]:
    """The searches that answer a query with a picture.

    side: of the query. cross_ear: ears of the other side count too (identity is (subject, side) otherwise).
    unknown_items: the gallery holds items of unknown side, which may lie in either orientation.
    """
    if side == "unknown":
        return Probe(mirrored=False), Probe(mirrored=True)
    own = Probe(mirrored=is_mirrored(side), sides=() if cross_ear else (side, None))
    if not unknown_items:
        return (own,)
    return own, Probe(mirrored=not own.mirrored, sides=(None,))


def vector_sides(side: Side, *, cross_ear: bool) -> tuple[StoredSide, ...]:
    """Sides of stored items that a query with a ready vector may meet: a vector cannot be mirrored, so one search."""
    return () if side == "unknown" or cross_ear else (side, None)
