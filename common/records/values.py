"""The columns of a source -> an `EarRecord`: one meaning of side, box, tags and landmarks for every layout.

Knows no file format. A value that makes no sense is a ValueError that names the value and what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.records.location import Location
from common.records.record import Box, EarRecord, Row, Side, UnusableRow

SIDES: Mapping[str, Side | None] = {
    "left": "left",
    "l": "left",
    "right": "right",
    "r": "right",
    "": None,
    "unknown": None,
}
NAMES = {
    "image_paths": "path",
    "file_name": "path",
    "filename": "path",
    "image_path": "path",
    "bboxes": "box",
    "subjects": "subject",
    "subject_id": "subject",
    "sides": "side",
}
"""Other names of columns, as teacher files and Hugging Face's image folders use them."""
BOX_COLUMNS = ("x1", "y1", "x2", "y2")
_USED = {"path", "image", "box", "subject", "side", "tags", "landmarks", "visible", *BOX_COLUMNS}


def known_name(column: str) -> str:
    """A column's name as the reader calls it."""
    return NAMES.get(column.strip(), column.strip())


def point_names(columns: Sequence[str]) -> list[str]:
    """Landmarks that have a column `<name>_x` and one `<name>_y`, in order."""
    return [name[:-2] for name in columns if name.endswith("_x") and f"{name[:-2]}_y" in columns]


def to_record(
    name: str, path: Path, row: Mapping[str, Any], points: Sequence[str] = (), location: Location | None = None
) -> Row:
    """A row of a source as a record, or why it is none.

    Args:
        name: of the picture within its source.
        path, location: see `EarRecord`.
        row: columns by the names that `known_name` gives.
        points: landmarks that have columns of their own, see `point_names`.
    """
    try:
        landmarks, visible = _landmarks(row, points)
        spent = {f"{point}_{part}" for point in points for part in ("x", "y", "vis")}
        return EarRecord(
            path=path,
            box=to_box(row),
            subject=_text(row.get("subject")),
            side=to_side(row.get("side")),
            landmarks=landmarks,
            visible=visible,
            attributes={
                str(key): text
                for key, value in row.items()
                if key not in _USED and key not in spent and (text := _text(value)) is not None
            },
            tags=to_tags(row.get("tags")),
            relative=name,
            location=location,
        )
    except (TypeError, ValueError) as error:
        return UnusableRow(name, str(error))


def _text(value: Any) -> str | None:
    """Text without blanks around it; None for nothing and for what is no single value."""
    if value is None or isinstance(value, (bytes, list, tuple, dict, np.ndarray)):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return str(value).strip() or None


def to_side(value: Any) -> Side | None:
    """left, right, l, r in any case; nothing and "unknown" are None."""
    text = (_text(value) or "").lower()
    if text not in SIDES:
        raise ValueError(f"side is {value!r}; allowed are 'left', 'right', 'l', 'r', and nothing for unknown")
    return SIDES[text]


def to_tags(value: Any) -> tuple[str, ...]:
    """Tags as a list, or as text with semicolons between."""
    parts = value.split(";") if isinstance(value, str) else list(value if value is not None else ())
    return tuple(str(part).strip() for part in parts if str(part).strip())


def to_box(row: Mapping[str, Any]) -> Box | None:
    """Four numbers in `box`, or in the columns `x1`, `y1`, `x2`, `y2`; None where there are none."""
    corners: Any = row.get("box")
    if corners is None:
        values = [_text(row.get(name)) for name in BOX_COLUMNS]
        if None in values:
            if any(value is not None for value in values):
                raise ValueError(f"box has only {[v for v in values if v is not None]}; give all of x1, y1, x2, y2")
            return None
        corners = values
    x1, y1, x2, y2 = _numbers(corners, (4,), "box", np.float64).tolist()
    if not (all(map(math.isfinite, (x1, y1, x2, y2))) and x1 < x2 and y1 < y2):
        raise ValueError(f"box {[x1, y1, x2, y2]} is not x1 < x2, y1 < y2 in pixels")
    return x1, y1, x2, y2


def _landmarks(
    row: Mapping[str, Any], points: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | tuple[None, None]:
    """Landmarks and which are seen; one that is not given (no number) counts as not seen."""
    landmarks, visible = row.get("landmarks"), row.get("visible")
    if points:
        landmarks = [[_text(row[f"{p}_x"]) or "nan", _text(row[f"{p}_y"]) or "nan"] for p in points]
        visible = [str(row.get(f"{p}_vis", "1")).strip() not in ("0", "0.0", "", "None") for p in points]
    if landmarks is None:
        return None, None
    places = _numbers(landmarks, (None, 2), "landmarks", np.float32)
    seen = np.ones(len(places)) if visible is None else np.asarray(visible)
    if seen.shape != (len(places),):
        raise ValueError(f"visible has {seen.size} entries where landmarks has {len(places)}")
    return places, np.isfinite(places).all(1) & seen.astype(np.bool_)


def _numbers(values: Any, shape: tuple[int | None, ...], what: str, dtype: Any) -> NDArray[Any]:
    try:
        array = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: {values!r} are not numbers") from None
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        expected = " x ".join("K" if size is None else str(size) for size in shape)
        raise ValueError(f"{what}: shape {array.shape}; expected {expected}")
    return array
