"""Draws docs/pictures/concepts.svg, the one picture of the concepts, with what the shipped model makes of an ear.

python docs/make_concepts.py        takes seconds; needs demo/bundle and demo/ears
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bundle.image import Picture, frame, mirror, read
from bundle.model import load
from common.records.record import EarRecord
from training.data.records import load_records

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "pictures" / "concepts.svg"
SKELETON = ROOT / "docs" / "pictures" / "concepts.template.svg"
QUERY = "s101_0120"
SHOWN = 3


class Seen(NamedTuple):
    """What the picture shows: the framed query, its reconstruction, the nearest other ears, best first."""

    query: Picture
    reconstruction: Picture
    hits: list[tuple[str, Picture]]


def look() -> Seen:
    """Embed the validation people's ears; the query's own picture is left out of what it may find."""
    records = load_records(ROOT / "demo" / "ears" / "metadata.csv", split="val")
    crops = np.stack([crop(record) for record in records])
    with load(ROOT / "demo" / "bundle") as model:
        parts = [model.encode(crops[at : at + 32]) for at in range(0, len(crops), 32)]
        embedding = np.concatenate([part.embedding for part in parts])
        mu = np.concatenate([part.mu for part in parts])
        query = next(row for row, record in enumerate(records) if record.subject == QUERY)
        (reconstruction,) = model.decode(mu[query][None])
    order = [int(row) for row in np.argsort(-(embedding @ embedding[query])) if row != query]
    hits = distinct([(name(records[row], records[query]), crops[row]) for row in order])
    return Seen(crops[query], reconstruction, hits)


def crop(record: EarRecord) -> Picture:
    """The framed ear in left orientation."""
    framed = frame(read(record.path), record.box)
    return mirror(framed) if record.side == "right" else framed


def name(found: EarRecord, query: EarRecord) -> str:
    """How the picture calls a hit."""
    if found.subject != query.subject:
        return "another"
    return "same ear" if found.side == query.side else "other side"


def distinct(hits: list[tuple[str, Picture]]) -> list[tuple[str, Picture]]:
    """The best hits, but not three of the same kind: the picture is to show what comes after the own ear, too."""
    own = [hit for hit in hits[:SHOWN] if hit[0] == "same ear"][:1]
    assert own, f"{QUERY} is not found by the shipped model: choose another QUERY"
    return [*own, *[hit for hit in hits if hit[0] == "another"]][:SHOWN]


def data_uri(picture: Picture) -> str:
    """A picture for an SVG's `href`."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    """Fill the skeleton."""
    seen = look()
    text = SKELETON.read_text()
    places = {"query": data_uri(seen.query), "reconstruction": data_uri(seen.reconstruction)}
    for number, (called, picture) in enumerate(seen.hits):
        places |= {f"hit{number}": data_uri(picture), f"name{number}": called}
    for place, value in places.items():
        text = text.replace("{{" + place + "}}", value)
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
