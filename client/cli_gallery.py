"""The words of `ear-teacher call` for the gallery: enrol, look, change, delete, calibrate, import, export and more.

Their flags are the parameters of `client.options`. Knows the client; prints long lists and progress as they come.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import gallery_options
from client.cli_pictures import picture_of, table, with_picture
from client.flags import add_flags, options_of
from client.options import CalibrateOptions, SearchOptions, SpaceOptions

if TYPE_CHECKING:
    from client.client import EarTeacher
    from client.gallery_models import Import

THERE = "on the service's machine; a relative one counts from here"
IMPORT = """Import every picture of a source that the gallery does not hold yet, beside the traffic. Run it again after
a failure, or a restart of the service: what is enrolled is known by content. A picture that cannot be read is reported
and stops nothing. Exit status 1 where the import did not come to its end."""


def add_words(words: Any) -> None:
    """The parsers of these words."""
    with_picture(words, "enrol", "keep an ear", gallery_options.EnrolOptions)
    many = words.add_parser("enrol-many", help="keep several ears in one request, a line for each picture")
    many.add_argument("images", type=Path, nargs="+", help="picture files")
    many.add_argument("--labels", type=Path, metavar="JSON", help="file with a list: an object of labels for each")
    add_flags(many, gallery_options.EnrolManyChoices)
    near = words.add_parser("near", help="a stored ear -> the nearest others, or persons")
    near.add_argument("item", help="id of the item")
    add_flags(near, SearchOptions, ("item", "side", "box", "detect", "tiles"))
    near.add_argument("--json", action="store_true", help="the whole answer")
    vectors = words.add_parser("vectors", help="the stored vectors of an item")
    vectors.add_argument("item", help="id of the item")
    add_flags(vectors, SpaceOptions)
    add_flags(
        words.add_parser("items", help="the gallery, one line an item"), gallery_options.ItemsOptions, ("cursor",)
    )
    change = words.add_parser("change", help="change labels of an item")
    add_flags(change, gallery_options.ChangeOptions)
    image = words.add_parser("image", help="the stored picture of an item")
    image.add_argument("-o", "--out", type=Path, required=True, metavar="FILE")
    item, delete = words.add_parser("item", help="one item"), words.add_parser("delete", help="delete an item")
    for parser in (item, delete, image, change):
        parser.add_argument("item", help="id of the item")
    forget = words.add_parser("delete-subject", help="delete everything of one person")
    forget.add_argument("subject")
    duplicates = words.add_parser("duplicates", help="ears that were enrolled twice, one line a pair")
    add_flags(duplicates, gallery_options.DuplicatesOptions, ("cursor", "limit"))
    drift = words.add_parser("drift", help="the last ears beside those before: is it time to retrain?")
    add_flags(drift, gallery_options.DriftOptions)
    calibrate = words.add_parser("calibrate", help="thresholds from its own labelled ears, for the verdicts of verify")
    add_flags(calibrate, CalibrateOptions)
    words.add_parser("calibrations", help="those that are kept, the active space's first")
    _add_bulk(words)


def _add_bulk(words: Any) -> None:
    begin = words.add_parser("import", help="many pictures into the gallery, followed to the end", description=IMPORT)
    begin.add_argument("source", help=f"folder, .csv, .npy, .parquet or .tar {THERE}")
    begin.add_argument("--no-wait", action="store_true", help="begin only; `imports ID` shows how far it is")
    add_flags(begin, gallery_options.ImportChoices)
    state = words.add_parser("imports", help="the imports since the service started, or one of them")
    state.add_argument("id", nargs="?", help="of an import")
    state.add_argument("--wait", action="store_true", help="follow it to the end")
    copy = words.add_parser("export", help="copy one moment of the gallery to a new folder")
    copy.add_argument("target", help=f"a new folder {THERE}")
    add_flags(copy, gallery_options.ExportChoices)


def _items(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    for item in ears.all_items(**options_of(arguments, gallery_options.ItemsOptions)):
        print(f"{item.id}  {item.side:7s}  {item.subject or '-'}  {','.join(item.tags)}")
    return None


def _enrol_many(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    labels = () if arguments.labels is None else json.loads(arguments.labels.read_text())
    done = ears.enrol_many(arguments.images, labels, **options_of(arguments, gallery_options.EnrolManyChoices))
    for path, one in zip(arguments.images, done.results, strict=True):
        print(f"{one.status}  {path}  {one.error.message if one.error else ' '.join(item.id for item in one.items)}")
    return {"enrolled": done.enrolled, "known": done.known, "failed": done.failed}


def _near(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    asked = {name: value for name, value in options_of(arguments, SearchOptions).items() if name != "item"}
    answer = ears.search_item(arguments.item, **asked)
    return answer if arguments.json else table(answer)


def _image(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    arguments.out.write_bytes(ears.image(arguments.item))
    return {"out": str(arguments.out)}


def _duplicates(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    for pair in ears.all_duplicates(**options_of(arguments, gallery_options.DuplicatesOptions)):
        subjects = f"{pair.earlier.subject or '-'}  {pair.later.subject or '-'}"
        same = "  same picture" if pair.same_picture else ""
        print(f"{pair.similarity:6.3f}  {pair.earlier.id}  {pair.later.id}  {subjects}{same}")
    return None


def _import(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    begun = ears.import_source(
        os.path.abspath(arguments.source), **options_of(arguments, gallery_options.ImportChoices)
    )
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
    "enrol": lambda ears, parsed: ears.enrol(picture_of(parsed), **options_of(parsed, gallery_options.EnrolOptions)),
    "enrol-many": _enrol_many,
    "near": _near,
    "vectors": lambda ears, parsed: ears.vectors(parsed.item, **options_of(parsed, SpaceOptions)),
    "items": _items,
    "item": lambda ears, parsed: ears.item(parsed.item),
    "image": _image,
    "change": lambda ears, parsed: ears.change(parsed.item, **options_of(parsed, gallery_options.ChangeOptions)),
    "delete": lambda ears, parsed: ears.delete(parsed.item),
    "delete-subject": lambda ears, parsed: {"deleted": ears.delete_subject(parsed.subject)},
    "duplicates": _duplicates,
    "drift": lambda ears, parsed: ears.drift(**options_of(parsed, gallery_options.DriftOptions)),
    "calibrate": lambda ears, parsed: ears.calibrate(**options_of(parsed, CalibrateOptions)),
    "calibrations": lambda ears, parsed: ears.calibrations(),
    "import": _import,
    "imports": _imports,
    "export": lambda ears, parsed: ears.export_gallery(
        os.path.abspath(parsed.target), **options_of(parsed, gallery_options.ExportChoices)
    ),
}
