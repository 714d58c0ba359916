"""The words of `ear-teacher call` that take a picture and keep nothing: embed, landmarks, search, verify and their kin.

Each word's flags stand beside what it does. Knows the client; prints nothing itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.client import EarTeacher
    from client.models import FoundSubjects, Hit

SIDES = ("left", "right", "unknown")


def add_words(calls: Any) -> None:
    """The parsers of these words."""
    embed = with_picture(calls.add_parser("embed", help="a picture -> its embedding"))
    embed.add_argument("--include", default="", help="of mu, quality, eigenears (standard deviations); comma separated")
    embed.add_argument("--detect", action="store_true", help="the picture is a photo: find its ear first")
    found = calls.add_parser("landmarks", help="a photo -> its ears, with landmarks in pixels")
    _with_file(found)
    found.add_argument("--threshold", type=float, help="least score of an ear, 0 to 1 (default: the bundle's)")
    reconstruct = with_picture(calls.add_parser("reconstruct", help="a picture -> what the model makes of it"))
    decode = calls.add_parser("decode", help="a position along the eigenears -> a picture")
    decode.add_argument("eigenears", type=float, nargs="*", help="standard deviations along the first components")
    for one in (reconstruct, decode):
        one.add_argument("-o", "--out", type=Path, required=True, metavar="PNG", help="where the picture goes")
    _add_search(with_picture(calls.add_parser("search", help="a picture -> the nearest ears, or persons")))
    verify = calls.add_parser("verify", help="two pictures -> are they one ear?")
    verify.add_argument("a", type=Path)
    verify.add_argument("b", type=Path)
    verify.add_argument("--sides", nargs=2, choices=SIDES, default=("unknown", "unknown"), metavar=("A", "B"))
    for name in "ab":
        verify.add_argument(f"--box-{name}", type=_box, metavar="X1,Y1,X2,Y2", help=f"ear box in {name}, pixels")
    verify.add_argument(
        "--far", type=float, default=0.01, help="false-accept rate (default 0.01); an unknown side doubles it"
    )
    explain = with_picture(calls.add_parser("explain", help="why a picture and a stored ear are near or far"))
    explain.add_argument("item", help="id of the stored ear")
    explain.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="where the pictures go")


def _add_search(search: argparse.ArgumentParser) -> None:
    search.add_argument(
        "-k", "--k", type=int, default=10, help="most hits, or with --group subject most persons (default 10)"
    )
    search.add_argument("--threshold", type=float, help="least similarity, a cosine, -1 to 1")
    search.add_argument("--subject", action="append", help="only ears of this subject; may be given several times")
    search.add_argument("--tag", action="append", help="only ears with this tag; may be given several times")
    search.add_argument("--detect", action="store_true", help="the picture is a photo: find its ear first")
    search.add_argument("--cross-ear", action="store_true", help="ears of the other side count too")
    search.add_argument("--group", choices=("item", "subject"), default="item", help="subject: each person once")
    search.add_argument("--per-subject", type=int, default=1, help="ears of each person that are told (default 1)")
    search.add_argument("--json", action="store_true", help="the whole answer")


def with_picture(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give a word a picture, and what is known of the ear in it."""
    _with_file(parser)
    parser.add_argument("--side", choices=SIDES, default="unknown", help="of the ear (default unknown)")
    parser.add_argument("--box", type=_box, metavar="X1,Y1,X2,Y2", help="ear box in pixels; none: the whole picture")
    return parser


def _with_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, help="a picture file; - for stdin")


def _box(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError("give four numbers")
    return numbers


def picture_of(given: argparse.Namespace) -> Any:
    """The picture that was named."""
    return sys.stdin.buffer.read() if str(given.image) == "-" else given.image


def framed(given: argparse.Namespace) -> dict[str, Any]:
    """What is known of the ear in it."""
    return {"side": given.side, "box": given.box}


def _embed(ears: EarTeacher, given: argparse.Namespace) -> Any:
    include = [part for part in given.include.split(",") if part]
    return ears.embed(picture_of(given), **framed(given), include=include, detect=given.detect or None)


def _landmarks(ears: EarTeacher, given: argparse.Namespace) -> Any:
    return ears.landmarks(picture_of(given), threshold=given.threshold)


def _reconstruct(ears: EarTeacher, given: argparse.Namespace) -> Any:
    made = ears.reconstruct(picture_of(given), **framed(given))
    given.out.write_bytes(made.image)
    return {"out": str(given.out), "psnr_db": made.psnr_db, "ssim": made.ssim}


def _decode(ears: EarTeacher, given: argparse.Namespace) -> Any:
    given.out.write_bytes(ears.decode(eigenears=given.eigenears))
    return {"out": str(given.out)}


def _search(ears: EarTeacher, given: argparse.Namespace) -> Any:
    asked = {name: getattr(given, name) for name in ("k", "threshold", "subject", "tag", "cross_ear")}
    asked["detect"] = given.detect or None
    if given.group == "subject":
        persons = ears.search_subjects(picture_of(given), **framed(given), per_subject=given.per_subject, **asked)
        return persons if given.json else _persons(persons)
    found = ears.search(picture_of(given), **framed(given), **asked)
    return found if given.json else "\n".join(map(_hit, found.hits)) or _nothing(found.searched)


def _persons(found: FoundSubjects) -> str:
    lines = []
    for one in found.subjects:
        lines.append(f"{one.rank:3d}  {one.similarity:6.3f}  {one.subject or '-'}")
        lines += [f"     {_hit(hit)}" for hit in one.hits]
    return "\n".join(lines) or _nothing(found.searched)


def _hit(hit: Hit) -> str:
    return f"{hit.rank:3d}  {hit.similarity:6.3f}  {hit.side:7s}  {hit.subject or '-'}  {hit.item_id}"


def _nothing(searched: int) -> str:
    return f"nothing found among {searched} ears"


def _verify(ears: EarTeacher, given: argparse.Namespace) -> Any:
    return ears.verify(given.a, given.b, sides=tuple(given.sides), boxes=(given.box_a, given.box_b), far=given.far)


def _explain(ears: EarTeacher, given: argparse.Namespace) -> Any:
    told = ears.explain(picture_of(given), given.item, **framed(given))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        morph = {f"morph-{number}": picture for number, picture in enumerate(told.morph)}
        pictures = {"query": told.query_image, "item": told.item_image, "difference": told.difference, **morph}
        for name, picture in pictures.items():
            (given.out / f"{name}.png").write_bytes(picture)
    return {name: getattr(told, name) for name in ("similarity", "query_mirrored", "agree", "differ")}


WORDS: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
    "embed": _embed,
    "landmarks": _landmarks,
    "reconstruct": _reconstruct,
    "decode": _decode,
    "search": _search,
    "verify": _verify,
    "explain": _explain,
}
