"""Pictures in folders: a folder a person (AWE, UERC, EarVN, ImageFolder), or pictures of nobody known.

Above the people there may be folders named as splits (train, val, test), below them folders named as sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from common.records.layout import Layout, ReadOptions, Source
from common.records.record import RecordsError, Row
from common.records.splits import SPLITS
from common.records.tree import pictures, record_path
from common.records.values import SIDES, to_record

LEAST_PEOPLE = 2


def labels(name: str) -> dict[str, Any]:
    """What the folders of a picture say: split, subject and side, each where there is one."""
    *folders, _ = name.split("/")
    row: dict[str, Any] = {}
    if folders and folders[0].lower() in SPLITS:
        row["split"] = folders.pop(0)
    if folders:
        row["subject"] = folders[0]
        sides = [folder for folder in folders[1:] if folder and folder.lower() in SIDES]
        row |= {"side": sides[0]} if sides else {}
    return row


def recognises(source: Source) -> bool:
    """Every picture lies in the folder of somebody, and there are at least two."""
    if source.file is not None:
        return False
    people = [labels(name).get("subject") for name in pictures(source.tree)]
    return None not in people and len(set(people)) >= LEAST_PEOPLE


def read(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every picture, its subject from its folder."""
    yield from _read(source, ("split", "subject", "side"))


def read_plain(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every picture, of nobody known."""
    yield from _read(source, ("split",))


def _read(source: Source, columns: tuple[str, ...]) -> Iterator[Row]:
    if source.file is not None:
        raise RecordsError(f"{source.name}: this layout reads a folder or a tar archive, not a single file")
    for name in pictures(source.tree):
        row = {key: value for key, value in labels(name).items() if key in columns}
        yield to_record(name, record_path(source.tree, name), row, (), source.tree.location(name))


PEOPLE = Layout("people", "a folder a person", recognises, read)
PLAIN = Layout("folder", "every picture of a folder, of nobody known", lambda source: source.file is None, read_plain)
