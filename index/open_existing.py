"""Opening a gallery that is there already, by its folder: to look at beside its owner, or to own without a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import inspect

from index.ann.snapshot import MANIFEST
from index.config import GalleryConfig
from index.errors import GalleryCorrupt
from index.gallery import Gallery, open_gallery
from index.store import rows
from index.store.active_space import DATABASE
from index.store.space_rows import read_spaces
from index.store.sqlite import SqliteTruth
from index.store.truth import Truth


@contextmanager
def look(folder: Path) -> Iterator[Truth]:
    """The truth of a gallery, for reading only, whether or not a service owns it. Raises GalleryCorrupt."""
    file = folder / DATABASE
    if not file.is_file():
        raise GalleryCorrupt(f"{folder} holds no gallery ({DATABASE} is absent): give a gallery's folder")
    truth = SqliteTruth(file)
    try:
        with truth.read() as connection:
            known = {column["name"] for column in inspect(connection).get_columns("ledger")}
        if "item_count" not in known:
            raise GalleryCorrupt(f"{folder} is of an older version: open it once with `ear-teacher serve`")
        yield truth
    finally:
        truth.close()


def own(folder: Path, config: GalleryConfig | None = None) -> Gallery:
    """The gallery in `folder` with whichever space is active. Raises GalleryLocked, GalleryCorrupt."""
    with look(folder) as truth, truth.read() as connection:
        active = next(space for space in read_spaces(connection).values() if space.state == "active")
    return open_gallery(folder, active.dim, active.space_id, config)


def stats(folder: Path) -> dict[str, Any]:
    """What a gallery holds, read beside its owner: counts, spaces, and how their saved neighbours are kept."""
    with look(folder) as truth, truth.read() as connection:
        ledger = rows.read_ledger(connection)
        spaces = [
            {
                **space._asdict(),
                "items": rows.count_vectors(connection, space.space_id),
                "snapshot": newest_snapshot(folder, space.space_id),
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


def newest_snapshot(folder: Path, space_id: str) -> dict[str, Any] | None:
    """The manifest of a space's newest snapshot: sequence, kind of neighbours, effort, measured recall."""
    manifests = sorted((folder / "neighbours" / space_id).glob(f"[0-9]*/{MANIFEST}"))
    return json.loads(manifests[-1].read_text(encoding="utf-8")) if manifests else None
