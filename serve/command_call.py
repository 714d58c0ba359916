"""`ear-teacher call`: every call of a running service from the shell, no curl needed.

Prints JSON, or for a search a short table; pictures go to the file that -o names.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serve.client import EarTeacher

SIDES = ("left", "right", "unknown")
LONGEST_LIST = 8
"""Numbers of a vector that are shown, unless --full."""


def parser() -> argparse.ArgumentParser:
    """One sub-verb for each call."""
    parser = argparse.ArgumentParser(prog="ear-teacher call", description="Call a running service.")
    parser.add_argument("--url", default=os.environ.get("EAR_TEACHER_URL", "http://127.0.0.1:8350"))
    parser.add_argument("--api-key", default=os.environ.get("EAR_TEACHER_API_KEY"), help="(EAR_TEACHER_API_KEY)")
    parser.add_argument("--full", action="store_true", help="print vectors whole")
    calls = parser.add_subparsers(dest="call", required=True, metavar="CALL")
    _picture_calls(calls)
    _gallery_calls(calls)
    calls.add_parser("models", help="the models that the service holds")
    calls.add_parser("ready", help="whether it may be sent traffic, and if not, why")
    return parser


def _picture_calls(calls: Any) -> None:
    embed = _with_picture(calls.add_parser("embed", help="a picture -> its embedding"))
    embed.add_argument("--include", default="", help="of mu, quality; comma separated")
    reconstruct = _with_picture(calls.add_parser("reconstruct", help="a picture -> what the model makes of it"))
    decode = calls.add_parser("decode", help="a position along the eigenears -> a picture")
    decode.add_argument("eigenears", type=float, nargs="*", help="standard deviations along the first components")
    for one in (reconstruct, decode):
        one.add_argument("-o", "--out", type=Path, required=True, metavar="PNG", help="where the picture goes")
    search = _with_picture(calls.add_parser("search", help="a picture -> the nearest ears"))
    search.add_argument("-k", type=int, default=10, help="most hits (default 10)")
    search.add_argument("--threshold", type=float, help="least similarity, -1 to 1")
    search.add_argument("--subject", action="append", help="only ears of this subject")
    search.add_argument("--tag", action="append", help="only ears with this tag")
    search.add_argument("--cross-ear", action="store_true", help="ears of the other side count too")
    search.add_argument("--json", action="store_true", help="the whole answer")
    verify = calls.add_parser("verify", help="two pictures -> are they one ear?")
    verify.add_argument("a", type=Path)
    verify.add_argument("b", type=Path)
    verify.add_argument("--sides", nargs=2, choices=SIDES, default=("unknown", "unknown"), metavar=("A", "B"))
    verify.add_argument("--far", type=float, default=0.01, help="false-accept rate of the decision (default 0.01)")
    explain = _with_picture(calls.add_parser("explain", help="why a picture and a stored ear are near or far"))
    explain.add_argument("item", help="id of the stored ear")
    explain.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="where the pictures go")


def _gallery_calls(calls: Any) -> None:
    enrol = _with_picture(calls.add_parser("enrol", help="keep an ear"))
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


def _with_picture(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("image", type=Path, help="a picture file; - for stdin")
    parser.add_argument("--side", choices=SIDES, default="unknown", help="of the ear (default unknown)")
    parser.add_argument("--box", type=_box, metavar="X1,Y1,X2,Y2", help="ear box in pixels; none: the whole picture")
    return parser


def _box(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError("give four numbers")
    return numbers


def main(argv: list[str]) -> int:
    """Run one call. A refusal is one line on stderr and exit status 2."""
    given = parser().parse_args(argv)
    from serve.client import EarTeacher
    from serve.client_errors import CallError

    with EarTeacher(given.url, given.api_key) as ears:
        try:
            answer = CALLS[given.call](ears, given)
        except OSError as error:
            raise CallError(f"{error.filename}: {error.strerror}") from None
    if answer is not None:
        print(answer if isinstance(answer, str) else _text(answer, given.full))
    return 0


def _picture(given: argparse.Namespace) -> Any:
    return sys.stdin.buffer.read() if str(given.image) == "-" else given.image


def _framed(given: argparse.Namespace) -> dict[str, Any]:
    return {"side": given.side, "box": given.box}


def _embed(ears: EarTeacher, given: argparse.Namespace) -> Any:
    include = [part for part in given.include.split(",") if part]
    return ears.embed(_picture(given), **_framed(given), include=include)


def _reconstruct(ears: EarTeacher, given: argparse.Namespace) -> Any:
    made = ears.reconstruct(_picture(given), **_framed(given))
    given.out.write_bytes(made.image)
    return {"out": str(given.out), "psnr_db": made.psnr_db, "ssim": made.ssim}


def _decode(ears: EarTeacher, given: argparse.Namespace) -> Any:
    given.out.write_bytes(ears.decode(eigenears=given.eigenears))
    return {"out": str(given.out)}


def _search(ears: EarTeacher, given: argparse.Namespace) -> Any:
    asked = {"threshold": given.threshold, "subject": given.subject, "tag": given.tag, "cross_ear": given.cross_ear}
    found = ears.search(_picture(given), **_framed(given), k=given.k, **asked)
    if given.json:
        return found
    lines = [
        f"{hit.rank:3d}  {hit.similarity:6.3f}  {hit.side:7s}  {hit.subject or '-'}  {hit.item_id}"
        for hit in found.hits
    ]
    return "\n".join(lines) or f"nothing found among {found.searched} ears"


def _verify(ears: EarTeacher, given: argparse.Namespace) -> Any:
    return ears.verify(given.a, given.b, sides=tuple(given.sides), far=given.far)


def _explain(ears: EarTeacher, given: argparse.Namespace) -> Any:
    told = ears.explain(_picture(given), given.item, **_framed(given))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        morph = {f"morph-{number}": picture for number, picture in enumerate(told.morph)}
        pictures = {"query": told.query_image, "item": told.item_image, "difference": told.difference, **morph}
        for name, picture in pictures.items():
            (given.out / f"{name}.png").write_bytes(picture)
    return {name: getattr(told, name) for name in ("similarity", "query_mirrored", "agree", "differ")}


def _enrol(ears: EarTeacher, given: argparse.Namespace) -> Any:
    labels = {"subject": given.subject, "tags": given.tag or [], "source": given.source}
    return ears.enrol(_picture(given), **_framed(given), **labels)


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


CALLS: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
    "embed": _embed,
    "reconstruct": _reconstruct,
    "decode": _decode,
    "search": _search,
    "verify": _verify,
    "explain": _explain,
    "enrol": _enrol,
    "items": _items,
    "item": lambda ears, given: ears.item(given.item),
    "image": _image,
    "change": _change,
    "delete": lambda ears, given: ears.delete(given.item),
    "delete-subject": lambda ears, given: {"deleted": ears.delete_subject(given.subject)},
    "models": lambda ears, given: ears.models(),
    "ready": lambda ears, given: ears.ready(),
}


def _text(answer: Any, full: bool) -> str:
    import orjson

    is_value = dataclasses.is_dataclass(answer) and not isinstance(answer, type)
    plain = _plain(dataclasses.asdict(answer) if is_value else answer, full)
    return orjson.dumps(plain, option=orjson.OPT_INDENT_2).decode()


def _plain(value: Any, full: bool) -> Any:
    if hasattr(value, "tolist"):
        numbers = value.tolist()
        return (
            numbers if full else [*(round(number, 4) for number in numbers[:LONGEST_LIST]), f"… {len(numbers)} in all"]
        )
    if isinstance(value, dict):
        return {key: _plain(inner, full) for key, inner in value.items()}
    return [_plain(inner, full) for inner in value] if isinstance(value, list) else value
