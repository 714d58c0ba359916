"""The ways to open a gallery: one's own folder (SQLite and FAISS), a shared database, or an existing one by its folder.

Only what is opened is imported: a process whose neighbours are in Milvus needs no faiss.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from common.gpu_faults import INSTALL, explain
from index.config import GalleryConfig
from index.errors import GalleryCorrupt, NeighboursUnavailable
from index.gallery import Gallery
from index.store import rows
from index.store.active_space import DATABASE
from index.store.lock import FolderLock
from index.store.space_rows import read_spaces
from index.store.sqlite import SqliteTruth
from index.store.truth import Truth

if TYPE_CHECKING:
    from index.ann.space_index import SpaceIndex

SNAPSHOTS = "neighbours"  # the subfolder of a gallery that holds saved FAISS indexes


def open_gallery(folder: Path, dim: int, space_id: str, config: GalleryConfig | None = None) -> Gallery:
    """Open the gallery in `folder`, or begin one for vectors of `dim` numbers from encoder `space_id`.

    Raises GalleryLocked if another process owns it, SpaceMismatch if it holds another encoder's vectors, GalleryCorrupt
    if its database cannot be read, GalleryReadOnly if the folder cannot be written.
    """
    config = config or GalleryConfig()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # ears are biometric data
    lock = FolderLock(folder)
    try:
        truth = SqliteTruth(folder / DATABASE, config.reserve_bytes)
        return Gallery(truth, _faiss_indexes(folder / SNAPSHOTS, truth, config), dim, space_id, lock)
    except BaseException:
        lock.release()
        raise


def open_shared_gallery(url: str, dim: int, space_id: str, cache: Path, config: GalleryConfig | None = None) -> Gallery:
    """Open the gallery in the database `url` with FAISS neighbours in this process, their snapshots in folder `cache`.

    Every process has a cache folder of its own. Changes of others are learned before each answer. Raises what
    `open_gallery` raises, GalleryLocked for the cache folder only.
    """
    from index.store.postgres import PostgresTruth

    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock, truth = FolderLock(cache), PostgresTruth(url)
    try:
        return Gallery(truth, _faiss_indexes(cache, truth, config or GalleryConfig()), dim, space_id, lock, shared=True)
    except BaseException:
        truth.close()
        lock.release()
        raise


def _faiss_indexes(folder: Path, truth: Truth, config: GalleryConfig) -> Callable[[str, int], SpaceIndex]:
    """See `faiss_indexes`. Raises NeighboursUnavailable with what installs faiss where it cannot be imported."""
    try:
        from index.ann.space_index import faiss_indexes
    except (ImportError, OSError, RuntimeError) as error:  # faiss-gpu: RuntimeError where its CUDA wheels are missing
        why = explain(str(error), "faiss") or f"{error}: {INSTALL['faiss']}"
        raise NeighboursUnavailable(f"faiss cannot be imported: {why}") from error
    return faiss_indexes(folder, truth, config)


def open_milvus_gallery(url: str, dim: int, space_id: str, milvus: str, token: str = "") -> Gallery:
    """Open the gallery in the database `url` with neighbours in the Milvus at `milvus`: this process keeps nothing."""
    from index.ann.milvus_space import milvus_indexes
    from index.store.postgres import PostgresTruth

    truth = PostgresTruth(url)
    try:
        return Gallery(truth, milvus_indexes(milvus, truth, token), dim, space_id, None, shared=True)
    except BaseException:
        truth.close()
        raise


def open_existing(folder: Path, config: GalleryConfig | None = None) -> Gallery:
    """The gallery in `folder` with whichever space is active. Raises GalleryLocked, GalleryCorrupt."""
    with open_read_only(folder) as truth, truth.read() as connection:
        active = next(space for space in read_spaces(connection).values() if space.state == "active")
    return open_gallery(folder, active.dim, active.space_id, config)


@contextmanager
def open_read_only(folder: Path) -> Iterator[Truth]:
    """The database of a gallery, for reading only, whether or not a service owns it. Raises GalleryCorrupt."""
    file = folder / DATABASE
    if not file.is_file():
        raise GalleryCorrupt(f"{folder} holds no gallery ({DATABASE} is absent): give a gallery's folder")
    truth = SqliteTruth(file)
    try:
        with truth.read() as connection:
            columns = {column["name"] for column in inspect(connection).get_columns("ledger")}
        if "item_count" not in columns:
            raise GalleryCorrupt(f"{folder} is of an older version: open it once with `ear-teacher serve`")
        yield truth
    finally:
        truth.close()


def stats(folder: Path) -> dict[str, Any]:
    """What a gallery holds, read beside its owner: counts, spaces, and how their saved neighbours are kept."""
    with open_read_only(folder) as truth, truth.read() as connection:
        ledger = rows.read_ledger(connection)
        spaces = [
            {
                **space._asdict(),
                "items": rows.count_vectors(connection, space.space_id),
                "snapshot": _newest_snapshot(folder, space.space_id),
            }
            for space in read_spaces(connection).values()
        ]
        return {
            "folder": str(folder),
            "items": ledger.item_count,
            "subjects": rows.count_subjects(connection),
            "sequence": ledger.seq,
            "size_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "spaces": spaces,
        }


def _newest_snapshot(folder: Path, space_id: str) -> dict[str, Any] | None:
    """The manifest of a space's newest snapshot: sequence, kind of neighbours, effort, measured recall."""
    manifests = sorted((folder / SNAPSHOTS / space_id).glob("[0-9]*/snapshot.json"))
    if not manifests:
        return None
    facts: dict[str, Any] = json.loads(manifests[-1].read_text(encoding="utf-8"))
    return {name: value for name, value in facts.items() if name != "equal"}
