"""The demo ears laid out as two published data sets keep theirs, to try commands before one's own data is at hand.

    python -m demo.datasets awe FOLDER     001/01.png, ..., 001/annotations.json
    python -m demo.datasets ami FOLDER     000_front_ear.jpg, ...

The pictures stay CC0 renders; nothing in them comes from AWE or AMI. Tests use the same functions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from PIL import Image, ImageOps

from common.records.reader import read_records
from common.records.record import EarRecord

EARS = Path(__file__).parent / "ears"
AMI_VIEWS = ("front", "left", "right", "up", "down", "zoom", "back")
AMI_LEFT_EAR = "back"


def _people(count: int) -> Iterator[list[EarRecord]]:
    """The pictures of the first people of the demo ears."""
    by_subject: dict[str | None, list[EarRecord]] = {}
    for record in read_records(EARS).records:
        by_subject.setdefault(record.subject, []).append(record)
    return islice(iter(by_subject.values()), count)


def _crop(record: EarRecord) -> Image.Image:
    """The picture around the ear's box, as both data sets have tight pictures."""
    with Image.open(record.path) as picture:
        return picture.convert("RGB").crop(record.box)  # the demo ears all have boxes


def write_awe(target: Path, people: int = 208, pictures: int = 8) -> Path:
    """AWE's layout: a folder a person, with an annotations.json; returns `target`."""
    for number, records in enumerate(_people(people), start=1):
        folder = target / f"{number:03d}"
        folder.mkdir(parents=True)
        data = {}
        for place, record in enumerate(records[:pictures], start=1):
            crop = _crop(record)
            crop.save(folder / f"{place:02d}.png")
            data[f"{place:02d}"] = _annotation(f"{place:02d}.png", record, crop)
        person = {"id": number, "gender": "mf"[number % 2], "ethnicity": 1 + number % 3, "data": data}
        (folder / "annotations.json").write_text(json.dumps(person))
    return target


def _annotation(name: str, record: EarRecord, crop: Image.Image) -> dict[str, object]:
    yaw, pitch, roll = (float(record.attributes[key]) for key in ("yaw", "pitch", "roll"))
    return {
        "file": name,
        "d": "r" if record.side == "right" else "l",
        "x": crop.width // 3,
        "y": crop.height // 2,
        "w": crop.width,
        "h": crop.height,
        "accessories": 0,
        "overlap": int(record.attributes["occluded"]),
        "hPitch": round(pitch / 10),
        "hYaw": round(yaw / 10),
        "hRoll": round(roll / 10),
    }


def write_ami(target: Path, people: int = 100) -> Path:
    """AMI's layout: `PPP_view_ear.jpg`, seven pictures a person, six of the right ear; returns `target`."""
    target.mkdir(parents=True, exist_ok=True)
    for number, records in enumerate(_people(people)):
        for view, record in zip(AMI_VIEWS, records, strict=False):
            crop, side = _crop(record), "left" if view == AMI_LEFT_EAR else "right"
            crop = crop if record.side == side else ImageOps.mirror(crop)
            crop.save(target / f"{number:03d}_{view}_ear.jpg", quality=85)
    return target


if __name__ == "__main__":
    writers = {"awe": write_awe, "ami": write_ami}
    if len(sys.argv) != 3 or sys.argv[1] not in writers:
        sys.exit("usage: python -m demo.datasets awe|ami FOLDER")
    writers[sys.argv[1]](Path(sys.argv[2]))
