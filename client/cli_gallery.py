"""The words of `ear-teacher call` for the gallery: enrol, look, change, delete, import, export, duplicates and drift.

Their flags are the parameters of `client.options`. Knows the client; prints long lists and progress as they come.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import options
from client.cli_pictures import picture_of, with_picture
from client.flags import add_flags, options_of

if TYPE_CHECKING:
    from client.client import EarTeacher
    from client.gallery_models import Import

THERE = "on the service's machine; a relative one counts from here"
IMPORT = """Import every picture of a source that the gallery does not hold yet, beside the traffic. Run it again after
a failure, or a restart of the service: what is enrolled is known by content. A picture that cannot be read is reported
and stops nothing. Exit status 1 where the import did not come to its end."""


def add_words(words: Any) -> None:
    """The parsers of these words."""
    with_picture(words, "enrol", "keep an ear", options.EnrolOptions)
    add_flags(words.add_parser("items", help="the gallery, one line an item"), options.ItemsOptions, ("cursor",))
    change = words.add_parser("change", help="change labels of an item")
    add_flags(change, options.ChangeOptions)
    image = words.add_parser("image", help="the stored picture of an item")
    image.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    item, delete = words.add_parser("item", help="one item"), words.add_parser("delete", help="delete an item")
    for parser in (item, delete, image, change):
        parser.add_argument("item", help="id of the item")
    forget = words.add_parser("delete-subject", help="delete everything of one person")
    forget.add_argument("subject")
    duplicates = words.add_parser("duplicates", help="ears that were enrolled twice, one line a pair")
    add_flags(duplicates, options.DuplicatesOptions, ("cursor", "limit"))
    drift = words.add_parser("drift", help="the last ears beside those before: is it time to retrain?")
    add_flags(drift, options.DriftOptions)
    _add_bulk(words)


def _add_bulk(words: Any) -> None:
    begin = words.add_parser("import", help="many pictures into the gallery, followed to the end", description=IMPORT)
    begin.add_argument("source", help=f"folder, .csv, .npy, .parquet or .tar {THERE}")
    begin.add_argument("--no-wait", action="store_true", help="begin only; `imports ID` shows how far it is")
    add_flags(begin, options.ImportChoices)
    state = words.add_parser("imports", help="the imports since the service started, or one of them")
    state.add_argument("id", nargs="?", help="of an import")
    state.add_argument("--wait", action="store_true", help="follow it to the end")
    copy = words.add_parser("export", help="copy one moment of the gallery to a new folder")
    copy.add_argument("target", help=f"a new folder {THERE}")
    add_flags(copy, options.ExportChoices)


def _items(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    for item in ears.all_items(**options_of(arguments, options.ItemsOptions)):
        print(f"{item.id}  {item.side:7s}  {item.subject or '-'}  {','.join(item.tags)}")
    return None


def _image(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    arguments.out.write_bytes(ears.image(arguments.item))
    return {"out": str(arguments.out)}


def _duplicates(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    for pair in ears.all_duplicates(**options_of(arguments, options.DuplicatesOptions)):
        subjects = f"{pair.earlier.subject or '-'}  {pair.later.subject or '-'}"
        same = "  same picture" if pair.same_picture else ""
        print(f"{pair.similarity:6.3f}  {pair.earlier.id}  {pair.later.id}  {subjects}{same}")
    return None


def _import(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    begun = ears.import_source(os.path.abspath(arguments.source), **options_of(arguments, options.ImportChoices))
    return begun if arguments.no_wait else _followed(ears, begun.id)


def _imports(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    if arguments.id is not None:
        return _followed(ears, arguments.id) if arguments.wait else ears.import_state(arguments.id)
    for state in ears.imports():
        print(f"{state.id}  {state.state:7s}  {_counts(state)}  {state.source}")
    return None


def _followed(ears: EarTeacher, import_id: str) -> Import:
    """Wait for an import, with a line on stderr; interrupting the wait leaves the import running."""
    print(f"import {import_id}", file=sys.stderr)
    try:
        for state in ears.follow_import(import_id):
            print(f"\r{_counts(state)}", end="", file=sys.stderr, flush=True)
    finally:
        print(file=sys.stderr)
    return state


def _counts(state: Import) -> str:
    return f"{state.enrolled} enrolled, {state.known} known, {state.failed} failed"


WORDS: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
    "enrol": lambda ears, given: ears.enrol(picture_of(given), **options_of(given, options.EnrolOptions)),
    "items": _items,
    "item": lambda ears, given: ears.item(given.item),
    "image": _image,
    "change": lambda ears, given: ears.change(given.item, **options_of(given, options.ChangeOptions)),
    "delete": lambda ears, given: ears.delete(given.item),
    "delete-subject": lambda ears, given: {"deleted": ears.delete_subject(given.subject)},
    "duplicates": _duplicates,
    "drift": lambda ears, given: ears.drift(**options_of(given, options.DriftOptions)),
    "import": _import,
    "imports": _imports,
    "export": lambda ears, given: ears.export_gallery(
        os.path.abspath(given.target), **options_of(given, options.ExportChoices)
    ),
}
