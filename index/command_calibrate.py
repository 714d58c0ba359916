"""`ear-teacher calibrate`, also a word of `ear-teacher gallery`: thresholds from a gallery's own labelled ears.

They are kept in the gallery, per space. It owns the gallery while it runs; a running service is asked by
`ear-teacher call calibrate`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SUMMARY = "fit thresholds on its own labelled ears, and keep them"


def main(argv: list[str]) -> int:
    """Run the verb. CalibrationRefused where fewer than 20 people have two pictures of one ear."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher calibrate",
        description="Fit thresholds and probabilities on a gallery's own labelled ears: from then on /v1/verify gives "
        "verdicts by them. Beside a running service: ear-teacher call calibrate.",
    )
    parser.add_argument("gallery", type=Path, metavar="GALLERY", help="the gallery's folder")
    add_flags(parser)
    calibrate(parser.parse_args(argv))
    return 0


def add_flags(verb: argparse.ArgumentParser) -> None:
    """What may be said besides the gallery."""
    verb.add_argument("--centred", action="store_true", help="on vectors less the gallery's own mean")
    verb.add_argument("--space", metavar="SPACE_ID", help="of this space (default: the active one)")
    verb.add_argument("--json", action="store_true", help="JSON instead of text")


def calibrate(args: argparse.Namespace) -> None:
    """Fit, keep and print."""
    from index.calibration import described
    from index.opening import open_existing

    with open_existing(args.gallery) as gallery:
        document = gallery.calibrate(args.space, args.centred)
    print(json.dumps(document, indent=1) if args.json else described(document))
