"""A gallery that several service processes share: truth in PostgreSQL, neighbours in each of them or in Milvus."""

from __future__ import annotations

from pathlib import Path

from index.ann.space_index import faiss_indexes
from index.config import GalleryConfig
from index.gallery import Gallery
from index.store.lock import FolderLock
from index.store.postgres import PostgresTruth


def open_shared_gallery(url: str, dim: int, space_id: str, cache: Path, config: GalleryConfig | None = None) -> Gallery:
    """Open the gallery in the database `url` with FAISS neighbours in this process, their snapshots in folder `cache`.

    Every process has a cache folder of its own. Changes of others are learned before each answer. Raises what
    `open_gallery` raises, GalleryLocked for the cache folder only.
    """
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock, truth = FolderLock(cache), PostgresTruth(url)
    try:
        return Gallery(truth, faiss_indexes(cache, truth, config or GalleryConfig()), dim, space_id, lock, shared=True)
    except BaseException:
        truth.close()
        lock.release()
        raise


def open_milvus_gallery(url: str, dim: int, space_id: str, milvus: str, token: str = "") -> Gallery:
    """Open the gallery in the database `url` with neighbours in the Milvus at `milvus`: this process keeps nothing."""
    from index.ann.milvus_space import milvus_indexes

    truth = PostgresTruth(url)
    try:
        return Gallery(truth, milvus_indexes(milvus, truth, token), dim, space_id, None, shared=True)
    except BaseException:
        truth.close()
        raise
