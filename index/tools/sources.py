"""Where pictures of a bulk import come from: a folder, a table, a teacher file, a Parquet file or a tar archive.

Yields encoded bytes and what is known of them, one at a time; a row that cannot be read is yielded as such and stops
nothing. Decodes no picture.
"""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, cast

from common.unpickle import UnreadableFile, read_npy_dict
from index.errors import BadItem, ImportRefused
from index.items import Box, Side, check_box, check_labels, content_hash

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
TABLE = "metadata.csv"
SIDES: Mapping[str, Side | None] = {
    "left": "left",
    "l": "left",
    "right": "right",
    "r": "right",
    "": None,
    "unknown": None,
}


@dataclass(frozen=True)
class Picture:
    """A picture to enrol: encoded bytes, and what the source says of it. `box` is in the picture's own pixels."""

    name: str
    data: bytes
    subject: str | None = None
    side: Side | None = None
    tags: tuple[str, ...] = ()
    box: Box | None = None

    @property
    def content(self) -> str:
        """See `content_hash`."""
        return content_hash(self.data, self.box)


@dataclass(frozen=True)
class Unreadable:
    """A row of a source that gave no picture, and why."""

    name: str
    reason: str


Found = Iterator[Picture | Unreadable]


def open_source(path: Path) -> Found:
    """The pictures of a source, by what it is: a folder (its `metadata.csv`, or else every picture below it), `.csv`,
    `.npy`, `.parquet`, `.tar` or a compressed tar. Raises ImportRefused.
    """
    if path.is_dir():
        return from_table(path / TABLE) if (path / TABLE).is_file() else from_folder(path)
    if not path.is_file():
        raise ImportRefused(f"{path} is neither a file nor a folder")
    for endings, reader in READERS.items():
        if path.name.lower().endswith(endings):
            return reader(path)
    known = ", ".join(ending for endings in READERS for ending in endings)
    raise ImportRefused(f"{path} is of no known kind: give a folder, or a file that ends in {known}")


def from_folder(folder: Path) -> Found:
    """Every picture below a folder, by name; the folder that a picture lies in is not taken for a subject."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURES and path.is_file():
            yield picture(path.relative_to(folder).as_posix(), path.read_bytes, {})


def from_table(table: Path) -> Found:
    """A CSV with a column `path` (relative to the table) and, where known, `subject`, `side`, `tags`, `x1`…`y2`."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if "path" not in (rows.fieldnames or ()):
            raise ImportRefused(f"{table} has the columns {rows.fieldnames}: one named 'path' is needed")
        for row in rows:
            yield picture(row["path"], (table.parent / row["path"]).read_bytes, row)


def from_teacher_file(file: Path) -> Found:
    """`np.save` of a dict with `image_paths` and, where known, `bboxes`, `subjects` and `sides`."""
    try:
        columns = read_npy_dict(file)
    except UnreadableFile as error:
        raise ImportRefused(str(error)) from None
    if "image_paths" not in columns:
        raise ImportRefused(f"{file} has the keys {sorted(columns)}: 'image_paths' is needed")
    count = len(columns["image_paths"])
    for key in COLUMNS:
        if key in columns and len(columns[key]) != count:
            raise ImportRefused(f"{file}: '{key}' has {len(columns[key])} entries, 'image_paths' has {count}")
    for n, name in enumerate(columns["image_paths"]):
        row: dict[str, Any] = {key: columns[many][n] for many, key in COLUMNS.items() if many in columns}
        yield picture(str(name), (file.parent / str(name)).read_bytes, row)


def from_parquet(file: Path) -> Found:
    """A Parquet file with a column `image` (encoded bytes) or `path`, and the columns of a table."""
    parquet = import_parquet()
    reader = parquet.ParquetFile(file)
    if not {"image", "path"} & set(reader.schema_arrow.names):
        raise ImportRefused(f"{file} has the columns {reader.schema_arrow.names}: 'image' or 'path' is needed")
    for batch in reader.iter_batches(batch_size=64):
        for n, row in enumerate(batch.to_pylist()):
            name = str(row.get("path") or row.get("name") or f"row {n}")
            held = row.get("image")
            yield picture(name, (file.parent / name).read_bytes if held is None else partial(bytes, held), row)


def from_tar(file: Path) -> Found:
    """Every picture of a tar archive, in its order; a `metadata.csv` in it must come before the pictures it names."""
    known: dict[str, Mapping[str, Any]] = {}
    with tarfile.open(file, "r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            name = PurePosixPath(member.name)
            if name.name == TABLE:
                lines = content.read().decode("utf-8-sig").splitlines()
                known = {str(name.parent / row["path"]): row for row in csv.DictReader(lines)}
            elif name.suffix.lower() in PICTURES:
                yield picture(str(name), content.read, known.get(str(name), {}))


READERS: dict[tuple[str, ...], Callable[[Path], Found]] = {
    (".csv",): from_table,
    (".npy",): from_teacher_file,
    (".parquet",): from_parquet,
    (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"): from_tar,
}
COLUMNS = {"bboxes": "box", "subjects": "subject", "sides": "side"}


def picture(name: str, read: Callable[[], bytes], row: Mapping[str, Any]) -> Picture | Unreadable:
    """One row of a source as a picture, or why it is none."""
    try:
        subject = str(row["subject"]).strip() or None if row.get("subject") is not None else None
        side = to_side(row.get("side"))
        tags, box = to_tags(row.get("tags")), to_box(row)
        check_labels(subject, side, tags)
        check_box(box)
        return Picture(name, read(), subject, side, tags, box)
    except (OSError, ValueError, TypeError, tarfile.TarError, BadItem) as error:
        return Unreadable(name, str(error))


def to_side(value: Any) -> Side | None:
    text = "" if value is None else str(value).strip().lower()
    if text not in SIDES:
        raise ValueError(f"side is {value!r}: allowed are left, right, and nothing for unknown")
    return SIDES[text]


def to_tags(value: Any) -> tuple[str, ...]:
    """Tags as a list, or as text with semicolons between."""
    parts = value.split(";") if isinstance(value, str) else list(value or ())
    return tuple(str(part).strip() for part in parts if str(part).strip())


def to_box(row: Mapping[str, Any]) -> Box | None:
    """Four numbers in `box`, or in the columns `x1`, `y1`, `x2`, `y2`."""
    values: Sequence[Any] = [row.get(name) for name in ("x1", "y1", "x2", "y2")]
    if row.get("box") is not None:
        values = list(row["box"])
    elif all(value in (None, "") for value in values):
        return None
    if len(values) != 4:
        raise ValueError(f"box is {values}: give x1, y1, x2, y2")
    return cast(Box, tuple(float(value) for value in values))


def import_parquet() -> Any:
    """pyarrow.parquet, or a word on how to get it."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise ImportRefused("Parquet needs pyarrow: pip install pyarrow") from None
    return parquet
