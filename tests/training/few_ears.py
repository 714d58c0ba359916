"""A part of the demo's ears, for tests whose time goes by the pictures."""

import csv
from collections.abc import Mapping
from pathlib import Path

EARS = Path(__file__).parents[2] / "demo" / "ears"


def few_ears(folder: Path, people: Mapping[str, int], pictures: int, splits: bool = True) -> Path:
    """A table in `folder` of the first `pictures` of the first `people` of each split, with its column or without."""
    (folder / "crops").symlink_to(EARS / "crops")
    with (EARS / "metadata.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "metadata.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, [name for name in rows[0] if splits or name != "split"], extrasaction="ignore")
        table.writeheader()
        for split, count in people.items():
            for subject in list(dict.fromkeys(row["subject"] for row in rows if row["split"] == split))[:count]:
                table.writerows([row for row in rows if row["subject"] == subject][:pictures])
    return folder / "metadata.csv"
