"""AWE's layout: a folder a person with its pictures and an `annotations.json`.

`{"id", "gender", "ethnicity", "data": {"01": {"file", "d": "l|r", "x", "y", "w", "h", "accessories", "overlap", ...}}}`
What is said of a person and of a picture becomes attributes; `d` is the side; x, y (the tragus, px) are `tragus_x` and
`tragus_y`, kept as attributes; w, h are the picture's size and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from common.records.layout import Layout, ReadOptions, Source
from common.records.record import RecordsError, Row, UnusableRow
from common.records.tree import Tree, pictures, record_path
from common.records.values import to_record

ANNOTATIONS = "annotations.json"
_RENAMED = {"d": "side", "x": "tragus_x", "y": "tragus_y"}
_LEFT_OUT = ("file", "w", "h")


def recognises(source: Source) -> bool:
    """A folder or archive with an annotations.json in it."""
    return source.file is None and bool(_annotated(source.tree))


def read(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every picture below the folders, and annotated ones that are missing; the folder's name is the subject."""
    files = [] if source.file is not None else _annotated(source.tree)
    if not files:
        raise RecordsError(f"{source.name}: layout awe needs folders with an {ANNOTATIONS}")
    known: dict[str, dict[str, Any]] = {}
    for file in files:
        try:
            known |= _annotations(source.tree, file)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            yield UnusableRow(file, f"no annotations as AWE has them: {error}")
    for name in sorted({*pictures(source.tree), *known}):
        row = {"subject": PurePosixPath(name).parent.name, **known.get(name, {})}
        yield to_record(name, record_path(source.tree, name), row, (), source.tree.location(name))


def _annotated(tree: Tree) -> list[str]:
    return [name for name in tree.names if PurePosixPath(name).name == ANNOTATIONS]


def _annotations(tree: Tree, file: str) -> dict[str, dict[str, Any]]:
    """Picture -> its row, of one person."""
    content = json.loads(tree.read(file))
    person = {key: value for key, value in content.items() if key not in ("id", "data")}
    entries = content["data"].values() if isinstance(content.get("data"), dict) else ()
    rows = {}
    for entry in entries:
        row = {_RENAMED.get(key, key): value for key, value in entry.items() if key not in _LEFT_OUT}
        rows[str(PurePosixPath(file).parent / entry["file"])] = person | row
    return rows


LAYOUT = Layout("awe", "AWE: a folder a person with annotations.json", recognises, read)
