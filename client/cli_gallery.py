"""The words of `ear-teacher call` for the gallery: enrol, look, change, delete, import, export, doubles and drift.

Each word's flags stand beside what it does. Knows the client; prints long lists and progress as they come.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.cli_pictures import SIDES, framed, picture_of, with_picture

if TYPE_CHECKING:
    from client.client import EarTeacher
    from client.gallery_models import Import

THERE = "on the service's machine; a relative one counts from here"
IMPORT = """Import every picture of a source that the gallery does not hold yet, beside the traffic. Run it again after
a failure, or a restart of the service: what is enrolled is known by content. A picture that cannot be read is told and
stops nothing. Exit status 1 where the import did not come to its end."""


def add_words(calls: Any) -> None:
    """The parsers of these words."""
    _add_items(calls)
    _add_whole(calls)
    _add_bulk(calls)


def _add_items(calls: Any) -> None:
    enrol = with_picture(calls.add_parser("enrol", help="keep an ear"))
    listed = calls.add_parser("items", help="the gallery, one line an item")
    change = calls.add_parser("change", help="change labels of an item")
    for one in (enrol, change):
        one.add_argument("--tag", action="append", help="may be given several times")
        one.add_argument("--source", help="where the picture came from")
    for one in (enrol, listed, change):
        one.add_argument("--subject", help="whose ear it is")
    change.add_argument("--side", choices=SIDES)
    image = calls.add_parser("image", help="the stored picture of an item")
    image.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    for one in (
        calls.add_parser("item", help="one item"),
        calls.add_parser("delete", help="delete an item"),
        image,
        change,
    ):
        one.add_argument("item", help="id of the item")
    forget = calls.add_parser("delete-subject", help="delete everything of one person")
    forget.add_argument("subject")


def _add_whole(calls: Any) -> None:
    doubles = calls.add_parser("duplicates", help="ears that were enrolled twice, one line a pair")
    doubles.add_argument("--threshold", type=float, default=0.99, help="least cosine, 0.5 to 1 (default 0.99)")
    drift = calls.add_parser("drift", help="the last ears beside those before: is it time to retrain?")
    drift.add_argument(
        "--recent", type=int, default=200, metavar="EARS", help="how many count as recent, 30 to 5000 (default 200)"
    )
    drift.add_argument(
        "--redraw", type=int, default=16, metavar="PICTURES", help="redrawn of either part, 0 to 64 (16)"
    )


def _add_bulk(calls: Any) -> None:
    begin = calls.add_parser("import", help="many pictures into the gallery, followed to the end", description=IMPORT)
    begin.add_argument("source", help=f"folder, .csv, .npy, .parquet or .tar {THERE}")
    begin.add_argument("--no-wait", action="store_true", help="begin only; `imports ID` tells how far it is")
    told = calls.add_parser("imports", help="the imports since the service started, or one of them")
    told.add_argument("id", nargs="?", help="of an import")
    told.add_argument("--wait", action="store_true", help="follow it to the end")
    copy = calls.add_parser("export", help="copy one moment of the gallery to a new folder")
    copy.add_argument("target", help=f"a new folder {THERE}")
    copy.add_argument(
        "--kind", choices=("archive", "backup"), default="archive", help="Parquet and pictures, or SQLite"
    )


def _enrol(ears: EarTeacher, given: argparse.Namespace) -> Any:
    labels = {"subject": given.subject, "tags": given.tag or [], "source": given.source}
    return ears.enrol(picture_of(given), **framed(given), **labels)


def _items(ears: EarTeacher, given: argparse.Namespace) -> Any:
    asked = {"subject": given.subject} if given.subject else {}
    for item in ears.all_items(**asked):
        print(f"{item.id}  {item.side:7s}  {item.subject or '-'}  {','.join(item.tags)}")
    return None


def _change(ears: EarTeacher, given: argparse.Namespace) -> Any:
    changes = {"subject": given.subject, "side": given.side, "tags": given.tag, "source": given.source}
    return ears.change(given.item, **{name: value for name, value in changes.items() if value is not None})


def _image(ears: EarTeacher, given: argparse.Namespace) -> Any:
    given.out.write_bytes(ears.image(given.item))
    return {"out": str(given.out)}


def _duplicates(ears: EarTeacher, given: argparse.Namespace) -> Any:
    for pair in ears.all_duplicates(threshold=given.threshold):
        subjects = f"{pair.earlier.subject or '-'}  {pair.later.subject or '-'}"
        same = "  same picture" if pair.same_picture else ""
        print(f"{pair.similarity:6.3f}  {pair.earlier.id}  {pair.later.id}  {subjects}{same}")
    return None


def _import(ears: EarTeacher, given: argparse.Namespace) -> Any:
    begun = ears.import_source(os.path.abspath(given.source))
    return begun if given.no_wait else _followed(ears, begun.id)


def _imports(ears: EarTeacher, given: argparse.Namespace) -> Any:
    if given.id is not None:
        return _followed(ears, given.id) if given.wait else ears.import_state(given.id)
    for one in ears.imports():
        print(f"{one.id}  {one.state:7s}  {_counts(one)}  {one.source}")
    return None


def _followed(ears: EarTeacher, import_id: str) -> Import:
    """Wait for an import, with a line on stderr; interrupting the wait leaves the import running."""
    print(f"import {import_id}", file=sys.stderr)
    try:
        for told in ears.follow_import(import_id):
            print(f"\r{_counts(told)}", end="", file=sys.stderr, flush=True)
    finally:
        print(file=sys.stderr)
    return told


def _counts(told: Import) -> str:
    return f"{told.enrolled} enrolled, {told.known} known, {told.failed} failed"


WORDS: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
    "enrol": _enrol,
    "items": _items,
    "item": lambda ears, given: ears.item(given.item),
    "image": _image,
    "change": _change,
    "delete": lambda ears, given: ears.delete(given.item),
    "delete-subject": lambda ears, given: {"deleted": ears.delete_subject(given.subject)},
    "duplicates": _duplicates,
    "drift": lambda ears, given: ears.drift(recent=given.recent, redraw=given.redraw),
    "import": _import,
    "imports": _imports,
    "export": lambda ears, given: ears.export_gallery(os.path.abspath(given.target), given.kind),
}
