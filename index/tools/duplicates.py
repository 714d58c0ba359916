"""Finding ears that were enrolled twice: the same picture by content, or pictures so alike that one is enough.

Reads a gallery page by page and asks it for each item's nearest others; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from index.gallery import Gallery
from index.items import Item

NEAREST = 5  # others that are looked at per item
PAGE = 200


@dataclass(frozen=True)
class Duplicate:
    """Two items, the one that was left alone for longer first; `same_picture` where their content is equal."""

    earlier: Item
    later: Item
    similarity: float
    same_picture: bool


def find_duplicates(gallery: Gallery, threshold: float = 0.99) -> Iterator[Duplicate]:
    """Every pair of items at least `threshold` similar among each other's nearest five; one pair once."""
    after = None
    while True:
        page = gallery.list(after, PAGE)
        yield from among(gallery, page.items, threshold)
        after = page.next_cursor
        if after is None:
            return


def among(gallery: Gallery, items: Sequence[Item], threshold: float) -> Iterator[Duplicate]:
    """Pairs of which one of these items is the later one."""
    vectors = [gallery.vectors(item.id) for item in items]
    embedded = [(item, pair.embedding) for item, pair in zip(items, vectors, strict=True) if pair is not None]
    if not embedded:
        return
    nearest = gallery.search(np.stack([embedding for _, embedding in embedded]), NEAREST + 1, threshold=threshold)
    for (item, _), hits in zip(embedded, nearest, strict=True):
        for hit in hits:
            if hit.item.seq < item.seq:  # numbers of changes are unique, so that every pair has one order
                yield Duplicate(hit.item, item, hit.similarity, hit.item.sha256 == item.sha256)
