"""Pictures whose names say whose they are: by a regular expression, or as the AMI data set names them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from common.records.layout import Layout, ReadOptions, Source
from common.records.record import RecordsError, Row, UnusableRow
from common.records.tree import pictures, record_path
from common.records.values import to_record

AMI = re.compile(r"(?:^|/)(?P<subject>\d{3})_(?P<view>front|back|up|down|left|right|zoom)_ear\.\w+$", re.IGNORECASE)
"""`PPP_view_ear.jpg`: `left` and `right` are where the head is turned to, not which ear it is."""
AMI_LEFT_EAR = "back"
"""The one view of the seven that shows the left ear (AMI's description: six of the right ear, one of the left)."""
AMI_SHARE = 0.9
"""Of the pictures that must be named so for `auto` to take it."""


def matched(name: str, pattern: re.Pattern[str]) -> dict[str, Any] | None:
    """The named groups of a picture's name; None where the pattern is not in it."""
    match = pattern.search(name)
    return None if match is None else {key: value for key, value in match.groupdict().items() if value is not None}


def read_pattern(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every picture whose name has the pattern; the others are named as unusable."""
    if options.subject_pattern is None:
        raise RecordsError("--layout pattern needs --subject-pattern, such as '(?P<subject>\\d+)_(?P<view>\\w+)_ear'")
    pattern = re.compile(options.subject_pattern)
    yield from _read(source, pattern, f"its name does not have --subject-pattern {options.subject_pattern}")


def read_ami(source: Source, options: ReadOptions) -> Iterator[Row]:
    """Every picture named as AMI's are; the side follows from the view."""
    yield from _read(source, AMI, "is not named PPP_view_ear as AMI's pictures are")


def _read(source: Source, pattern: re.Pattern[str], otherwise: str) -> Iterator[Row]:
    if source.file is not None:
        raise RecordsError(f"{source.name}: file names are read from a folder or a tar archive, not from a single file")
    for name in pictures(source.tree):
        row = matched(name, pattern)
        if row is None:
            yield UnusableRow(name, otherwise)
            continue
        if pattern is AMI:
            row["view"] = row["view"].lower()
            row["side"] = "left" if row["view"] == AMI_LEFT_EAR else "right"
        yield to_record(name, record_path(source.tree, name), row, (), source.tree.location(name))


def recognises_ami(source: Source) -> bool:
    """Nearly all pictures are named so."""
    names = [] if source.file is not None else pictures(source.tree)
    return bool(names) and sum(AMI.search(name) is not None for name in names) >= AMI_SHARE * len(names)


PATTERN = Layout("pattern", "subjects from file names, by --subject-pattern", lambda source: False, read_pattern)
AMI_LAYOUT = Layout("ami", "AMI: PPP_view_ear.jpg", recognises_ami, read_ami)
