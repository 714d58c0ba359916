"""The process that the kill test kills: enrols, deletes, searches and saves for ever, telling what was acknowledged."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from index.gallery import open_gallery
from index.items import Filter
from tests.index.ears import DIM, SPACE, embedding, new_item


def main(folder: Path, start: int) -> None:
    random = np.random.default_rng(start)
    with open_gallery(folder, DIM, SPACE) as gallery:
        live = [item.id for item in gallery.list(limit=1000, filter=Filter(exclude_subjects=("nobody",))).items]
        tell("ready", "-", "-")
        for n in range(start, start + 10_000_000):
            if live and random.random() < 0.3:
                gone = live.pop(int(random.integers(len(live))))
                tell("deleting", gone, "-")
                gallery.delete(gone)
                tell("deleted", gone, "-")
            else:
                batch = [new_item(n * 4 + part) for part in range(int(random.integers(1, 4)))]
                for item in gallery.enrol(batch):
                    live.append(item.id)
                    tell("enrolled", item.id, str(item.source))
            if random.random() < 0.05:
                gallery.save()
            if random.random() < 0.1:
                gallery.search(embedding(1, n), 5)


def tell(*words: str) -> None:
    """One write call, so that a line is told whole or not at all."""
    os.write(1, ("\t".join(words) + "\n").encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
