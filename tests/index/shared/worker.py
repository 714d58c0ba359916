"""One process of several on a shared truth: enrols and deletes, and prints each change after its acknowledgement."""

from __future__ import annotations

import sys
from pathlib import Path

from index.gallery import Gallery
from index.opening import open_milvus_gallery, open_shared_gallery
from tests.index.ears import DIM, SPACE, new_item


def open_one(url: str, where: str) -> Gallery:
    """Neighbours in the Milvus at `where`, or FAISS with its snapshots in the folder `where`."""
    if where.startswith("http"):
        return open_milvus_gallery(url, DIM, SPACE, where)
    return open_shared_gallery(url, DIM, SPACE, Path(where))


def main(url: str, where: str, first: int, changes: int) -> None:
    """Enrol `changes` ears and delete every fourth."""
    with open_one(url, where) as gallery:
        for n in range(first, first + changes):
            print("enrolling", n, flush=True)
            (item,) = gallery.enrol([new_item(n)])
            print("enrolled", item.id, flush=True)
            if n % 4 == 0:
                print("deleting", item.id, flush=True)
                gallery.delete(item.id)
                print("deleted", item.id, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
