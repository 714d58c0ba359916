"""The parts of the gallery's benchmark that run on a gallery: enrolling, building an index, restarting, searching."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.gallery_points import measured, own_bytes
from bench.gallery_vectors import K, Vectors
from index.config import GalleryConfig
from index.items import NewItem
from index.opening import open_gallery

SPACE = "sp_" + "0" * 32
NUMBERS = "numbers.npy"
BATCH, SINGLES, PICTURES = 1000, 200, 256
CROP = bytes(2000)  # as large as a small JPEG


def enrol(vectors: Vectors, folder: Path) -> dict[str, Any]:
    """Enrol ready vectors durably, in bulk and one by one. An item's `source` is its number."""
    stored, bulk = vectors.stored, vectors.count - SINGLES
    with open_gallery(folder, vectors.dim, SPACE, GalleryConfig(neighbours="exact")) as gallery:
        started = time.perf_counter()
        for start in range(0, bulk, BATCH):
            part = np.array(stored[start : min(start + BATCH, bulk)])
            gallery.enrol([NewItem(CROP, one, one, source=str(start + n)) for n, one in enumerate(part)])
        bulk_s = time.perf_counter() - started
        started = time.perf_counter()
        for n in range(bulk, vectors.count):
            gallery.enrol([NewItem(CROP, stored[n], stored[n], source=str(n))])
        single_s = time.perf_counter() - started
    facts = {"bulk_per_s": round(bulk / bulk_s), "one_by_one_per_s": round(SINGLES / single_s)}
    size = (folder / "gallery.sqlite").stat().st_size
    return {"what": "durable enrolment", **facts, "disk_bytes_per_vector": round(size / vectors.count)}


def enrol_pictures(bundle: Path, folder: Path) -> dict[str, Any]:
    """Embed crops with a real model and enrol them durably: what a bulk import pays."""
    from bundle.model import load

    model = load(bundle)
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (PICTURES, 128, 128, 3), dtype=np.uint8)
    model.encode(crops[:16])
    with open_gallery(folder, model.latent_dim, model.space_id) as gallery:
        started = time.perf_counter()
        for start in range(0, PICTURES, 32):
            encoded = model.encode(crops[start : start + 32])
            pairs = zip(encoded.mu, encoded.embedding, strict=True)
            gallery.enrol([NewItem(CROP, mu, embedding) for mu, embedding in pairs])
        taken = time.perf_counter() - started
    model.close()
    return {"what": f"enrolment with embedding ({bundle})", "bulk_per_s": round(PICTURES / taken)}


def build(folder: Path, dim: int, kind: Any, threads: int, recall: float) -> dict[str, Any]:
    """Make the gallery's index of one kind, tune it, save it."""
    config = GalleryConfig(neighbours=kind, build_threads=threads, recall_target=recall)
    with open_gallery(folder, dim, SPACE, config) as gallery:
        started = time.perf_counter()
        gallery.maintain()
        built = time.perf_counter() - started
        status = gallery.spaces.status()[0]
    size = max((folder / "neighbours" / SPACE).glob("[0-9]*"), key=lambda path: path.stat().st_mtime)
    index_bytes = (size / "index.faiss").stat().st_size
    row = {"what": f"gallery {kind}", "effort": status.index.effort, "build_s": round(built, 1)}
    return row | {"index_bytes_per_vector": round(index_bytes / status.items)}


def ask(vectors: Vectors, folder: Path, kind: Any) -> dict[str, Any]:
    """A restart, then whole searches through the gallery, the database included."""
    before, started = own_bytes(), time.perf_counter()
    with open_gallery(folder, vectors.dim, SPACE, GalleryConfig(neighbours=kind)) as gallery:
        restarted = time.perf_counter() - started
        held = own_bytes() - before
        row = measured(lambda query: [int(hit.item.source or -1) for hit in gallery.search(query, K)[0]], vectors)
    row |= {"restart_s": round(restarted, 2), "ram_bytes_per_vector": round(held / vectors.count)}
    return row
