"""What is known of each picture of an ear, read from any of the three data formats.

A teacher file (`.npy`), a table (`metadata.csv`) or a plain folder of pictures become the same list of `EarRecord`.
Opens no picture; `training/data/crops.py` does.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bundle.framing import Box
from common.unpickle import UnreadableFile, read_npy_dict
from training.errors import DataError

Side = Literal["left", "right"]
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
_BOX_COLUMNS = ("x1", "y1", "x2", "y2")
_TEACHER_KEYS = {
    "image_paths": "picture",
    "bboxes": "box",
    "subjects": "subject",
    "sides": "side",
    "landmarks": "landmarks",
    "visible": "visible",
}
"""Columns of a teacher file, and what one entry of each is."""


@dataclass(frozen=True)
class EarRecord:
    """One picture of one ear. What is not known is None."""

    path: Path
    box: Box | None = None
    """x1, y1, x2, y2 in pixels of the picture."""
    subject: str | None = None
    """Whose ear it is."""
    side: Side | None = None
    landmarks: NDArray[np.float32] | None = None
    """(K, 2) x, y in pixels of the picture; NaN where not known."""
    visible: NDArray[np.bool_] | None = None
    """(K,); only where landmarks are."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Whatever else the file says of the picture, as text: `evaluate` slices its figures by these."""


def load_records(path: str | Path, split: str | None = None) -> list[EarRecord]:
    """Read a teacher file, a `metadata.csv`, or a folder (its `metadata.csv`, or else every picture below it).

    Args:
        path: relative paths inside a file are relative to that file.
        split: keep only rows whose column `split` says so (tables only).

    Raises:
        DataError: nothing there, an entry that makes no sense, or pictures that do not exist.
    """
    path = Path(path)
    if path.is_dir():
        table = path / "metadata.csv"
        records = _from_table(table, split) if table.is_file() else _from_folder(path)
    elif path.suffix == ".npy":
        records = _from_teacher(path)
    elif path.suffix == ".csv":
        records = _from_table(path, split)
    else:
        raise DataError(f"--data {path}: give a folder of pictures, a metadata.csv or a teacher .npy file")
    if not records:
        raise DataError(f"{path}: no pictures" + (f" in split {split!r}" if split else ""))
    _check_exist(records, path)
    return records


def _check_exist(records: Sequence[EarRecord], source: Path) -> None:
    missing = [record.path for record in records if not record.path.is_file()]
    if missing:
        first = ", ".join(map(str, missing[:3]))
        raise DataError(f"{source}: {len(missing)} of {len(records)} pictures do not exist, the first: {first}")


def _from_folder(folder: Path) -> list[EarRecord]:
    return [EarRecord(path) for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURES]


def _from_teacher(path: Path) -> list[EarRecord]:
    try:
        content = read_npy_dict(path)
    except UnreadableFile as error:
        raise DataError(str(error)) from None
    if "image_paths" not in content:
        raise DataError(f"{path}: holds a dict with {sorted(content)}; expected 'image_paths' and 'bboxes'")
    columns = {_TEACHER_KEYS.get(key, key): column for key, column in content.items()}
    count = len(columns["picture"])
    lengths = {name: _length(column) for name, column in columns.items()}
    wrong = [f"{name} has {length}" for name, length in lengths.items() if length not in (None, count)]
    if wrong:
        raise DataError(f"{path}: image_paths has {count} entries, but {', '.join(wrong)}")
    columns = {name: column for name, column in columns.items() if lengths[name] == count}
    extra = set(columns) - set(_TEACHER_KEYS.values())
    records = []
    for number in range(count):
        row = {name: column[number] for name, column in columns.items()}
        row["attributes"] = {name: str(row.pop(name)) for name in sorted(extra)}
        records.append(_record(path, number, row))
    return records


def _length(column: Any) -> int | None:
    return len(column) if isinstance(column, (list, tuple)) or np.ndim(column) else None


def _from_table(path: Path, split: str | None) -> list[EarRecord]:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        columns = list(reader.fieldnames or [])
        if "path" not in columns:
            raise DataError(f"{path}: has no column 'path'; it has {', '.join(columns) or 'none'}")
        points = [c[:-2] for c in columns if c.endswith("_x") and f"{c[:-2]}_y" in columns]
        rows = [(n, row) for n, row in enumerate(reader) if split is None or row.get("split") == split]
        return [_record(path, number, _table_row(row, points)) for number, row in rows]


def _table_row(row: dict[str, str], points: list[str]) -> dict[str, Any]:
    used = {"path", "subject", "side", *_BOX_COLUMNS, *(f"{p}_{part}" for p in points for part in ("x", "y", "vis"))}
    box = [row.get(column) or None for column in _BOX_COLUMNS]
    return {
        "picture": row["path"],
        "box": None if None in box else box,
        "subject": row.get("subject"),
        "side": row.get("side"),
        "landmarks": [[row[f"{p}_x"] or "nan", row[f"{p}_y"] or "nan"] for p in points] or None,
        "visible": [row.get(f"{p}_vis", "1") not in ("0", "") for p in points],
        "attributes": {key: value for key, value in row.items() if key not in used and value},
    }


def _record(source: Path, number: int, row: Mapping[str, Any]) -> EarRecord:
    where = f"{source}: entry {number} ({row['picture']})"
    side, subject = row.get("side"), row.get("subject")
    if side not in (None, "", "left", "right"):
        raise DataError(f"{where}: side is {side!r}; allowed are 'left', 'right' and nothing")
    landmarks, visible = _points(row.get("landmarks"), row.get("visible"), where)
    return EarRecord(
        path=source.parent / str(row["picture"]),
        box=_box(row.get("box"), where),
        subject=None if subject in (None, "") else str(subject),
        side=cast(Side, str(side)) if side else None,
        landmarks=landmarks,
        visible=visible,
        attributes=row["attributes"],
    )


def _points(
    landmarks: Any, visible: Any, where: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | tuple[None, None]:
    """Landmarks and which are seen; one that is not given (no number) counts as not seen."""
    if landmarks is None:
        return None, None
    points = _numbers(landmarks, (None, 2), f"{where}: landmarks")
    seen = np.ones(len(points)) if visible is None else visible
    return points, np.isfinite(points).all(1) & np.asarray(seen, dtype=np.bool_)


def _box(corners: Any, where: str) -> Box | None:
    if corners is None:
        return None
    x1, y1, x2, y2 = _numbers(corners, (4,), f"{where}: box").tolist()
    if not (all(map(math.isfinite, (x1, y1, x2, y2))) and x1 < x2 and y1 < y2):
        raise DataError(f"{where}: box {[x1, y1, x2, y2]} is not x1 < x2, y1 < y2 in pixels")
    return x1, y1, x2, y2


def _numbers(values: Any, shape: tuple[int | None, ...], what: str) -> NDArray[np.float32]:
    try:
        array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise DataError(f"{what}: {values!r} are not numbers") from None
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        wanted = " x ".join("K" if n is None else str(n) for n in shape)
        raise DataError(f"{what}: shape {array.shape}; expected {wanted}")
    return array
