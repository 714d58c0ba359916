"""`ear-teacher boxes`: find the ears of pictures with a bundle's detector and write their boxes into a metadata.csv."""

from __future__ import annotations

import argparse
import csv
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundle.errors import ImageError
from bundle.image import decode
from bundle.landmarks import EarFinder, FoundEar, letterbox
from bundle.landmarks_bundle import open_finder
from bundle.manifest import read_manifest
from common.progress import log_progress, show_progress
from common.records.layout import ReadOptions
from common.records.reader import LAYOUT_NAMES
from common.records.record import EarRecord
from common.records.tree import TABLE
from training.data.records import Loaded, load
from training.errors import ConfigError

log = logging.getLogger(__name__)
COLUMNS = ("path", "subject", "side", "x1", "y1", "x2", "y2", "score")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher boxes",
        description="Find the ear of every picture with a bundle's detector and write boxes and sides, beside all that "
        "is known already, into a metadata.csv that train, evaluate, import and embed read. Look at some of them: a "
        "detector errs.",
    )
    parser.add_argument("data", type=Path, help="pictures as files, in any layout of `ear-teacher train`")
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle with a detector")
    parser.add_argument("--out", type=Path, help="the table to write (default: metadata.csv in DATA)")
    parser.add_argument("--force", action="store_true", help="replace a table that is there")
    parser.add_argument("--threshold", type=float, help="least score of an ear, 0 to 1 (default: the bundle's)")
    parser.add_argument("--layout", choices=LAYOUT_NAMES, default="auto", help="how they are kept (default auto)")
    parser.add_argument("--subject-pattern", metavar="REGEX", help="subjects, and sides, from file names")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb."""
    arguments = build_parser().parse_args(argv)
    show_progress()
    out = arguments.out or (arguments.data if arguments.data.is_dir() else arguments.data.parent) / TABLE
    if out.exists() and not arguments.force:
        raise ConfigError(f"--out {out}: is there already; give another file, or --force to replace it")
    finder = open_finder(arguments.bundle, read_manifest(arguments.bundle))
    if finder is None:
        raise ConfigError(f"--bundle {arguments.bundle}: has no detector; add one with `ear-teacher detector export`")
    try:
        loaded = load(arguments.data, ReadOptions(arguments.layout, arguments.subject_pattern), skip_unreadable=True)
        log.info("%s", loaded.summary)
        for line in write_boxes(finder, loaded, out, arguments.threshold):
            print(line)
    finally:
        finder.close()
    return 0


def write_boxes(finder: EarFinder, loaded: Loaded, out: Path, threshold: float | None = None) -> Iterator[str]:
    """Write the table; gives a line for each picture without an ear and one that sums up.

    A side that is known stays; a picture in which no ear is found has no box in the table, and is framed whole.
    """
    attributes = sorted({name for record in loaded.records for name in record.attributes} - {"score"})
    with_box = 0
    refused = list(loaded.refused)
    with out.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        table = csv.DictWriter(stream, [*COLUMNS, *attributes])
        table.writeheader()
        for number, record in enumerate(loaded.records, start=1):
            try:
                ear = _best(finder, record, threshold)
            except (OSError, ValueError, ImageError) as error:
                refused.append(f"{record.name}: {error}")
                continue
            with_box += ear is not None
            table.writerow(_row(record, ear, out.parent))
            if ear is None:
                yield f"no ear found in {record.name}"
            log_progress(log, "looking for ears", number, len(loaded.records))
    yield from (f"left out {line}" for line in refused)
    yield f"{out}: boxes of {with_box} of {len(loaded.records)} pictures"


def _best(finder: EarFinder, record: EarRecord, threshold: float | None) -> FoundEar | None:
    ears = finder.find([letterbox(decode(record.read()))], threshold)[0]
    return ears[0] if ears else None


def _row(record: EarRecord, ear: FoundEar | None, folder: Path) -> dict[str, Any]:
    path = os.path.relpath(record.path, folder) if record.location is None or record.place.kind == "whole" else None
    if path is None:
        raise ConfigError(f"{record.path}: lies in an archive; unpack it, a table names files")
    row = {"path": path, "subject": record.subject, "side": record.side, **record.attributes}
    if ear is not None:
        corners = dict(zip(("x1", "y1", "x2", "y2"), (f"{value:.1f}" for value in ear.box), strict=True))
        row |= {"side": record.side or ear.side, **corners, "score": f"{ear.score:.3f}"}
    return row
