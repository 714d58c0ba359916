"""The stages of the demo: train, export, measure, fill the gallery. Each leaves a folder behind and is skipped when it
is already there, so that an interrupted demo goes on where it was.

Calls the rooms as a user's program would. Knows no HTTP; `demo/command_demo.py` serves the result.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.framing import Framing
from bundle.image import read
from bundle.manifest import MANIFEST_NAME
from bundle.model import EarModel
from common.records.record import EarRecord
from demo.people import People
from index.items import NewItem
from serve.inference.decode_pool import stored_crop
from training.data.records import load_records

EARS = Path(__file__).parent / "ears"
SHIPPED_BUNDLE = Path(__file__).parent / "bundle"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Where a demo keeps what it makes."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "train"

    @property
    def bundle(self) -> Path:
        return self.root / "bundle"

    @property
    def gallery(self) -> Path:
        return self.root / "gallery"

    def forget(self) -> None:
        """Remove what earlier demos made."""
        shutil.rmtree(self.root, ignore_errors=True)


def is_bundle(folder: Path) -> bool:
    """A manifest is written last, so a folder that has one is whole."""
    return (folder / MANIFEST_NAME).is_file()


def validation_records() -> list[EarRecord]:
    """Pictures of the people nobody trained on, with what metadata.csv knows of them."""
    return load_records(EARS / "metadata.csv", split="val")


def train(places: Places, minutes: float) -> Path:
    """Train the tiny preset on the demo ears; returns the checkpoint. A finished run is not repeated."""
    from demo.recipe import demo_config
    from training.fit.trainer import fit

    done = places.run / "finished"
    if done.is_file():
        return Path(done.read_text())
    shutil.rmtree(places.run, ignore_errors=True)
    checkpoint = fit(demo_config(EARS, places.run, minutes))
    done.write_text(str(checkpoint))
    return checkpoint


def export(checkpoint: Path, places: Places, tell: Tell) -> None:
    """Checkpoint -> bundle behind the parity gate, on pictures of the validation people.

    The folder is the demo's own: what is there without a manifest is no bundle, and makes room.
    """
    from export.config import ExportConfig
    from export.write import export_bundle
    from training.checkpoint import read_trained_on
    from training.data.crops import Framer
    from training.data.trained_on import exposure, picture_digest

    if not is_bundle(places.bundle):
        shutil.rmtree(places.bundle, ignore_errors=True)
    records = validation_records()
    framer = Framer(Framing())
    crops = np.stack([framer(record).crop for record in records])
    people = [str(record.subject) for record in records]
    held = exposure(read_trained_on(checkpoint), records, [picture_digest(record.read()) for record in records])
    config = ExportConfig(force=True, held_out=held.sentence if held.trustworthy else "")
    export_bundle(checkpoint, places.bundle, crops, people, config)


def fill(places: Places, model: EarModel, people: People) -> int:
    """Enrol two pictures of each validation person, durably; returns how many ears the gallery holds.

    A gallery that has them already is left as it is; one of another model's vectors makes room.
    """
    from index.errors import SpaceMismatch
    from index.opening import open_gallery

    try:
        gallery = open_gallery(places.gallery, dim=model.latent_dim, space_id=model.space_id)
    except SpaceMismatch:
        shutil.rmtree(places.gallery)
        gallery = open_gallery(places.gallery, dim=model.latent_dim, space_id=model.space_id)
    with gallery:
        if gallery.count() == 0:
            gallery.enrol([_item(people, int(row)) for row in people.gallery_rows])
        return gallery.count()


def _item(people: People, row: int) -> NewItem:
    record = people.records[row]
    stored = stored_crop(read(record.path), record.box)
    tags = ("demo", *(record.attributes[key] for key in ("appearance", "light") if key in record.attributes))
    return NewItem(
        crop=stored.file,
        box=stored.box,
        mu=people.encoding.mu[row],
        embedding=people.encoding.embedding[row],
        subject=record.subject,
        side=record.side,
        tags=tags,
        source=record.path.name,
    )
