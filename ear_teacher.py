"""The front door: one command, `ear-teacher`, one verb per job.

Knows which module holds each verb and nothing else: a room is imported only when its verb runs, so `--help` is instant
and serving never meets torch.
"""

from __future__ import annotations

import importlib
import sys
from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb lives (`module.main(argv) -> exit status`) and what it does, in one line."""

    module: str
    summary: str


VERBS: dict[str, Verb] = {
    "demo": Verb("demo.command_demo", "run the whole chain on the demo ears and serve it"),
    "train": Verb("training.command_train", "pictures of ears -> checkpoint"),
    "weights": Verb("training.command_weights", "fetch or verify the pretrained SAM and VGG16 weights"),
    "export": Verb("export.command_export", "checkpoint -> bundle (ONNX behind a parity gate)"),
    "serve": Verb("serve.command_serve", "serve a bundle over HTTP"),
}


def usage() -> str:
    """The text of `ear-teacher --help`."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()]
    return (
        "usage: ear-teacher <verb> [options]\n\n"
        + "\n".join(lines)
        + "\n\n`ear-teacher <verb> --help` explains a verb."
    )


def main(argv: list[str] | None = None) -> int:
    """Run one verb. A mistake of the user's is one line on stderr and exit status 2; anything else is a traceback."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in VERBS:
        print(f"ear-teacher: no verb {name!r}; there are: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        return int(importlib.import_module(VERBS[name].module).main(rest))
    except Exception as error:
        if not getattr(error, "is_user_error", False):
            raise
        print(f"ear-teacher {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\near-teacher {name}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
