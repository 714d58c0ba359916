"""`ear-teacher call`: every call of a running service from the shell, no curl needed.

Prints JSON, or for searches and lists a short table; pictures go to the file that -o names. The words themselves are in
`client.cli_pictures` and `client.cli_gallery`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

from client import cli_gallery, cli_pictures

LONGEST_LIST = 8
"""Numbers of a vector that are shown, unless --full."""


def parser() -> argparse.ArgumentParser:
    """One word for each call."""
    parser = argparse.ArgumentParser(prog="ear-teacher call", description="Call a running service.")
    parser.add_argument("--url", default=os.environ.get("EAR_TEACHER_URL", "http://127.0.0.1:8350"))
    parser.add_argument("--api-key", default=os.environ.get("EAR_TEACHER_API_KEY"), help="(EAR_TEACHER_API_KEY)")
    parser.add_argument("--full", action="store_true", help="print vectors whole")
    calls = parser.add_subparsers(dest="call", required=True, metavar="CALL")
    cli_pictures.add_words(calls)
    cli_gallery.add_words(calls)
    models = calls.add_parser("models", help="the models that the service holds, or one of them")
    models.add_argument("id", nargs="?", help="bundle_id of a model")
    calls.add_parser("ready", help="whether it may be sent traffic, and if not, why")
    calls.add_parser("metrics", help="counts and times, in Prometheus' text format")
    return parser


def main(argv: list[str]) -> int:
    """Run one call. A refusal is one line on stderr and exit status 2; an import that did not reach its end is 1."""
    parsed = parser().parse_args(argv)
    from client.client import EarTeacher
    from client.errors import CallError
    from client.gallery_models import Import

    with EarTeacher(parsed.url, parsed.api_key) as ears:
        try:
            answer = CALLS[parsed.call](ears, parsed)
        except OSError as error:
            raise CallError(f"{error.filename}: {error.strerror}") from None
    if answer is not None:
        print(answer if isinstance(answer, str) else _text(answer, parsed.full))
    return int(isinstance(answer, Import) and answer.ended and not answer.complete)


CALLS: dict[str, Callable[[Any, argparse.Namespace], Any]] = {
    **cli_pictures.WORDS,
    **cli_gallery.WORDS,
    "models": lambda ears, parsed: ears.models() if parsed.id is None else ears.model(parsed.id),
    "ready": lambda ears, parsed: ears.ready(),
    "metrics": lambda ears, parsed: ears.metrics().rstrip(),
}


def _text(answer: Any, full: bool) -> str:
    return json.dumps(_plain(answer, full), indent=2, ensure_ascii=False)


def _plain(value: Any, full: bool) -> Any:
    if hasattr(value, "tolist"):
        numbers = value.tolist()
        return (
            numbers if full else [*(round(number, 4) for number in numbers[:LONGEST_LIST]), f"… {len(numbers)} in all"]
        )
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: _plain(inner, full) for key, inner in value.items()}
    return [_plain(inner, full) for inner in value] if isinstance(value, list) else value
