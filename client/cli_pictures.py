"""The words of `ear-teacher call` that take a picture and keep nothing: embed, landmarks, search, verify and their kin.

Their flags are the parameters of `client.options`. Knows the client; prints nothing itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import options
from client.flags import add_flags, options_of

if TYPE_CHECKING:
    from client.client import EarTeacher
    from client.models import Hit, SearchAnswer


def add_words(words: Any) -> None:
    """The parsers of these words."""
    with_picture(words, "embed", "a picture -> its embedding", options.EmbedOptions)
    with_picture(words, "landmarks", "a photo -> its ears, with landmarks in pixels", options.LandmarksOptions)
    reconstruct = with_picture(
        words, "reconstruct", "a picture -> what the model makes of it", options.ReconstructOptions, ("format",)
    )
    decode = words.add_parser("decode", help="a position along the eigenears -> a picture")
    decode.add_argument("eigenears", type=float, nargs="*", help="standard deviations along the first components")
    add_flags(decode, options.DecodeOptions, ("format",))
    for parser in (reconstruct, decode):
        parser.add_argument("-o", "--out", type=Path, required=True, metavar="PNG", help="where the picture goes")
    search = with_picture(
        words, "search", "a picture -> the nearest ears, or persons", options.SearchOptions, ("item",)
    )
    search.add_argument("--json", action="store_true", help="the whole answer")
    verify = words.add_parser("verify", help="two pictures -> are they one ear?")
    verify.add_argument("a", type=Path)
    verify.add_argument("b", type=Path)
    add_flags(verify, options.VerifyOptions)
    explain = with_picture(
        words, "explain", "why a picture and a stored ear are near or far", options.ExplainOptions, ("item",)
    )
    explain.add_argument("item", help="id of the stored ear")
    explain.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="where the pictures go")


def with_picture(
    words: Any, name: str, summary: str, parameters: type, leave_out: tuple[str, ...] = ()
) -> argparse.ArgumentParser:
    """A word that takes a picture, with the flags of its operation."""
    parser: argparse.ArgumentParser = words.add_parser(name, help=summary)
    parser.add_argument("image", type=Path, help="a picture file; - for stdin")
    add_flags(parser, parameters, leave_out)
    return parser


def picture_of(arguments: argparse.Namespace) -> Any:
    """The picture that was named."""
    return sys.stdin.buffer.read() if str(arguments.image) == "-" else arguments.image


def _reconstruct(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    made = ears.reconstruct(picture_of(arguments), **options_of(arguments, options.ReconstructOptions))
    arguments.out.write_bytes(made.image)
    return {"out": str(arguments.out), "psnr_db": made.psnr_db, "ssim": made.ssim}


def _decode(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    arguments.out.write_bytes(ears.decode(**options_of(arguments, options.DecodeOptions)))
    return {"out": str(arguments.out)}


def _search(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    answer = ears.search(picture_of(arguments), **options_of(arguments, options.SearchOptions))
    return answer if arguments.json else table(answer)


def table(answer: SearchAnswer) -> str:
    """The hits of a search, one line each, under their persons where it was grouped."""
    lines = [_line(hit) for hit in answer.hits]
    for person in answer.subjects:
        lines.append(f"{person.rank:3d}  {person.similarity:6.3f}  {person.subject or '-'}")
        lines += [f"     {_line(hit)}" for hit in person.hits]
    return "\n".join(lines) or f"nothing found among {answer.searched} ears"


def _line(hit: Hit) -> str:
    return f"{hit.rank:3d}  {hit.similarity:6.3f}  {hit.side:7s}  {hit.subject or '-'}  {hit.item_id}"


def _explain(ears: EarTeacher, arguments: argparse.Namespace) -> Any:
    asked = options_of(arguments, options.ExplainOptions)
    why = ears.explain(picture_of(arguments), **asked)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        morph = {f"morph-{number}": picture for number, picture in enumerate(why.morph)}
        pictures = {"query": why.query_image, "item": why.item_image, "difference": why.difference, **morph}
        for name, picture in pictures.items():
            (arguments.out / f"{name}.png").write_bytes(picture)
    components = {name: getattr(why, name) for name in ("agree", "differ")}
    return {"similarity": why.similarity, "query_mirrored": why.query_mirrored, **components}


WORDS: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
    "embed": lambda ears, parsed: ears.embed(picture_of(parsed), **options_of(parsed, options.EmbedOptions)),
    "landmarks": lambda ears, parsed: ears.landmarks(
        picture_of(parsed), **options_of(parsed, options.LandmarksOptions)
    ),
    "reconstruct": _reconstruct,
    "decode": _decode,
    "search": _search,
    "verify": lambda ears, parsed: ears.verify(parsed.a, parsed.b, **options_of(parsed, options.VerifyOptions)),
    "explain": _explain,
}
