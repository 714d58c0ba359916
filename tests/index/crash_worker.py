"""The process that the kill test kills: enrols, deletes, searches, saves and promotes for ever, and tells."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from index.errors import PromotionRefused, SpaceMismatch
from index.gallery import Gallery
from index.items import NewItem, Vectors
from index.opening import open_gallery
from tests.index.ears import DIM, OTHER_SPACE, SPACE, embedding, new_item, unit

CROWDED = 200  # ears beyond which more are deleted than enrolled, so that a hundredth kill takes no longer than a first


def open_active(folder: Path) -> Gallery:
    """The gallery, whichever of the two spaces is active."""
    try:
        return open_gallery(folder, DIM, SPACE)
    except SpaceMismatch:
        return open_gallery(folder, DIM, OTHER_SPACE)


def other_vectors(mine: np.ndarray) -> Vectors:
    """The same ear in the other space: every number turned round."""
    return Vectors(mine[::-1].copy(), unit(mine[::-1]))


def dual(n: int, gallery: Gallery) -> NewItem:
    """The n-th ear with vectors of every live space."""
    if len(gallery.spaces.status()) == 1:
        return new_item(n) if gallery.space_id == SPACE else replace(new_item(n), **vars(other_vectors(mine(n))))
    return replace(new_item(n), also={OTHER_SPACE: other_vectors(mine(n))})


def mine(n: int) -> np.ndarray:
    return embedding(n % 10, n)


def vectors_in(space_id: str, n: int) -> Vectors:
    return Vectors(new_item(n).mu, mine(n)) if space_id == SPACE else other_vectors(mine(n))


def promote(gallery: Gallery, random: np.random.Generator) -> str:
    """One step of a promotion, whichever is possible; returns what it was."""
    spaces = gallery.spaces
    waiting = SPACE if gallery.space_id == OTHER_SPACE else OTHER_SPACE
    if len(spaces.status()) == 1:
        spaces.stage(waiting, DIM)
    pending = spaces.pending(waiting, limit=100)
    if pending:
        spaces.fill(waiting, [(one, vectors_in(waiting, int(one.crop.split()[-1]))) for one in pending])
        return "filled"
    if random.random() < 0.5:
        spaces.activate(waiting)
        return "activated"
    if random.random() < 0.3:
        spaces.retire(waiting)
        return "retired"
    try:
        spaces.rollback()
    except PromotionRefused:
        return "refused"
    return "rolled back"


def work(gallery: Gallery, start: int) -> None:
    random = np.random.default_rng(start)
    live = [item.id for item in gallery.list(limit=1000).items]
    for n in range(start, start + 10_000_000):
        if live and random.random() < (0.3 if len(live) < CROWDED else 0.7):
            gone = live.pop(int(random.integers(len(live))))
            tell("deleting", gone, "-")
            gallery.delete(gone)
            tell("deleted", gone, "-")
        else:
            batch = [dual(n * 4 + part, gallery) for part in range(int(random.integers(1, 4)))]
            alone = len(gallery.spaces.status()) == 1
            for item in gallery.enrol(batch, gallery.space_id if alone else SPACE):
                live.append(item.id)
                tell("enrolled", item.id, str(item.source))
        if random.random() < 0.05:
            gallery.save()
        if random.random() < 0.1:
            gallery.search(embedding(1, n), 5)
        if random.random() < 0.15:
            tell("promoted", promote(gallery, random), "-")


def tell(*words: str) -> None:
    """One write call, so that a line is told whole or not at all."""
    os.write(1, ("\t".join(words) + "\n").encode())


if __name__ == "__main__":
    with open_active(Path(sys.argv[1])) as gallery:
        tell("ready", "-", "-")
        work(gallery, int(sys.argv[2]))
