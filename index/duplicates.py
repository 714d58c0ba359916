"""Finding ears that were enrolled twice: the same picture by content, or pictures so alike that one is enough.

Reads a gallery page by page and asks it for each item's nearest others; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from index.gallery import Gallery
from index.items import Item

NEAREST = 5  # others that are looked at per item
PAGE = 200


@dataclass(frozen=True)
class Duplicate:
    """Two items, the earlier first; `same_picture` where their content is equal."""

    earlier: Item
    later: Item
    similarity: float
    same_picture: bool


def find_duplicates(gallery: Gallery, threshold: float = 0.99) -> Iterator[Duplicate]:
    """Every pair of items at least `threshold` similar among each other's nearest five; one pair once."""
    place: dict[str, int] = {}
    after = None
    while True:
        page = gallery.list(after, PAGE)
        for item in page.items:
            place[item.id] = len(place)
        yield from among(gallery, page.items, place, threshold)
        after = page.next_cursor
        if after is None:
            return


def among(gallery: Gallery, items: tuple[Item, ...], place: dict[str, int], threshold: float) -> Iterator[Duplicate]:
    """Pairs of these items with others that were listed before them."""
    vectors = [gallery.vectors(item.id) for item in items]
    known = [(item, pair.embedding) for item, pair in zip(items, vectors, strict=True) if pair is not None]
    if not known:
        return
    found = gallery.search(np.stack([embedding for _, embedding in known]), NEAREST + 1, threshold=threshold)
    for (item, _), hits in zip(known, found, strict=True):
        for hit in hits:
            if place.get(hit.item.id, len(place)) < place[item.id]:
                yield Duplicate(hit.item, item, hit.similarity, hit.item.sha256 == item.sha256)
