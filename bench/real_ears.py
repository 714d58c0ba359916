"""How well a bundle tells real ears apart, on photographs that nothing shipped was trained on, beside HOG and LBP.

    python -m bench.real_ears --bundle demo/bundle --ami AMI/ --earvn Images/ --markdown table.md

The first 2 pictures of a person are the gallery, the others the queries; 95 % bootstrap intervals over people. AMI: box
and side from the bundle's own detector, as `detect=true` answers. EarVN1.0: the tight crop as it is, the better of both
orientations. A choice is made on the first half of the people; the last half and all are reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.real_ears_decisions import HEADING as DECISIONS
from bench.real_ears_decisions import decisions, surer_orientation
from bench.real_ears_features import Ears, detect, embed, features, see
from bench.real_ears_photos import Photo, ami, ear_free, earvn
from bundle.image import read
from bundle.landmarks import EarFinder
from bundle.landmarks_bundle import open_finder
from bundle.model import EarModel, load
from common.provenance import commit
from measure.bootstrap import Interval, score_intervals
from measure.calibration import Calibration
from measure.protocol import Comparison, compare, gallery_query_split
from measure.vectors import as_vectors, unit

Vectors = NDArray[np.float32]
Compare = Callable[[Vectors, Vectors, Sequence[str]], Comparison]
KEYS = ("rank1", "rank5", "eer")
HEADING = "| photographs | people, queries | features | rank-1 | rank-5 | EER |\n|---|---|---|---|---|---|"


def as_given(left: Vectors, _: Vectors, subjects: Sequence[str]) -> Comparison:
    """The side is known: one comparison a pair."""
    return compare(left, subjects)


def either_orientation(left: Vectors, mirrored: Vectors, subjects: Sequence[str]) -> Comparison:
    """The side is unknown: every query is compared as it is and mirrored, and the better comparison counts."""
    pairs, split = compare(left, subjects), gallery_query_split(subjects)
    turned = unit(as_vectors(mirrored, "mirrored"))[split.queries] @ unit(as_vectors(left, "left"))[split.gallery].T
    return replace(pairs, similarity=np.maximum(pairs.similarity, turned))


def rows_of(
    name: str, photos: list[Photo], ears: Ears, model: EarModel, pairs_of: Compare, figures_of: list[dict[str, Any]]
) -> list[str]:
    """Markdown rows of one set: the last half of its people, then all. The embedding's go to `figures_of` too."""
    subjects = [photo.subject for photo in photos]
    people = sorted(set(subjects))
    last = set(people[len(people) // 2 :])
    vectors = features(ears, model)
    mirrored = features(ears.mirrored(), model) if pairs_of is either_orientation else vectors
    lines = []
    for label, chosen in (("last half", [s in last for s in subjects]), ("all", [True] * len(subjects))):
        rows = np.flatnonzero(chosen)
        for feature in vectors:
            pairs = pairs_of(vectors[feature][rows], mirrored[feature][rows], [subjects[row] for row in rows])
            figures = score_intervals(pairs)
            cells = [f"{figures[key].value:.3f} ({figures[key].low:.3f}-{figures[key].high:.3f})" for key in KEYS]
            if (label, feature) == ("all", "embedding"):
                figures_of.append(described(name, pairs, figures))
            counted = f"{len(set(pairs.query_ids))}, {len(pairs.query_ids)}"
            lines.append(f"| {name}, {label} | {counted} | {feature} | {' | '.join(cells)} |")
    return lines


def described(name: str, pairs: Comparison, figures: Mapping[str, Interval]) -> dict[str, Any]:
    """One set's figures as `ear-teacher embedding attach --photographs` takes them for the model card."""
    rates = {key: round(figures[key].value, 4) for key in ("rank1", "eer")}
    return {"set": name, "people": len(set(pairs.query_ids)), "queries": len(pairs.query_ids), **rates}


def detection(model: EarModel, finder: EarFinder, sets: dict[str, Ears]) -> list[str]:
    """How often the ear is found, as `detect=true` finds it, and on how many pictures without ears one is reported."""
    lines = [
        f"{name}: an ear detected in {ears.detected.mean():.1%} of {len(ears.detected)}" for name, ears in sets.items()
    ]
    alarms = [path.name for path in ear_free() if detect(read(path), model, finder)]
    names = f" ({', '.join(alarms)})" if alarms else ""
    return [*lines, f"pictures without ears: {len(alarms)} of {len(ear_free())} with an ear reported{names}"]


def main(argv: list[str] | None = None) -> int:
    """Measure the sets that are there and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.real_ears", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("demo/bundle"))
    parser.add_argument("--ami", type=Path, help="folder of AMI's pictures")
    parser.add_argument("--earvn", type=Path, help="EarVN1.0's folder Images")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    parser.add_argument("--json", type=Path, help="write the embedding's figures for the model card")
    options = parser.parse_args(argv)
    if options.ami is None and options.earvn is None:
        parser.error("name --ami FOLDER, --earvn FOLDER or both; docs/research.md says where they come from")
    lines, sets = [HEADING], {}
    figures: list[dict[str, Any]] = []
    judged: dict[str, tuple[Vectors, list[Photo]]] = {}
    with load(options.bundle) as model:
        finder = open_finder(options.bundle, model.manifest)
        if finder is None:
            parser.error(f"{options.bundle} has no detector: add one with `ear-teacher detector export`")
        if options.ami:
            photos = ami(options.ami)
            sets["AMI"] = see(photos, model, finder)
            lines += rows_of("AMI", photos, sets["AMI"], model, as_given, figures)
            judged["AMI"] = embed(sets["AMI"], model).embedding, photos
        if options.earvn:
            photos = earvn(options.earvn)
            sets["EarVN1.0"] = see(photos, model, finder)
            lines += rows_of("EarVN1.0", photos, sets["EarVN1.0"], model, either_orientation, figures)
            if model.manifest.ear_spread is not None:
                judged["EarVN1.0"] = surer_orientation(sets["EarVN1.0"], model), photos
        calibration = model.manifest.calibration
        shipped = calibration and Calibration.from_dict(calibration)
        lines += ["", DECISIONS]
        for name, (vectors, shown) in judged.items():
            lines += decisions(name, vectors, [photo.subject for photo in shown], shipped or None)
        lines += ["", f"{model.bundle_id}, commit {commit()}. " + "; ".join(detection(model, finder, sets)) + "."]
        finder.close()
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
