"""A few small pictures of ears, and a run on them that takes seconds."""

import logging
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.shapes import MICRO
from training.config import LossWeights, TrainConfig

LANDMARKS = 3


def draw_ear(subject: int, picture: int, side: str) -> Image.Image:
    """A 48 x 40 px picture whose ellipse belongs to the subject, and whose light to the picture."""
    rng = np.random.default_rng(1000 * subject + picture)
    y, x = np.mgrid[:48, :40]
    wide, high = 8 + 2 * (subject % 4), 14 + 1.5 * (subject // 4)
    x = 39 - x if side == "right" else x
    ear = ((x - 17) / wide) ** 2 + ((y - 24) / high) ** 2 < 1
    light = rng.uniform(0.7, 1.2)
    shade = np.where(ear, 170 + 10 * (subject % 3), 70) * light + rng.normal(0, 4, (48, 40))
    colours = np.stack([shade, 0.8 * shade, 0.7 * shade], axis=2)
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8))


def write_ears(folder: Path, subjects: range, name: str) -> Path:
    """Four pictures of each subject and a teacher file with every extra key."""
    folder.mkdir(exist_ok=True)
    columns: dict = {key: [] for key in ("image_paths", "bboxes", "subjects", "sides", "landmarks", "visible", "light")}
    for subject in subjects:
        for picture in range(4):
            side = "left" if picture % 2 == 0 else "right"
            path = f"s{subject}_{picture}.png"
            draw_ear(subject, picture, side).save(folder / path)
            points = np.array([[17.0, 24.0 - 12], [17.0, 24.0], [17.0, 24.0 + 12]])
            points[:, 0] = 39 - points[:, 0] if side == "right" else points[:, 0]
            columns["image_paths"].append(path)
            columns["bboxes"].append([5, 4, 35, 44])
            columns["subjects"].append(f"s{subject}")
            columns["sides"].append(side)
            columns["landmarks"].append(points.tolist())
            columns["visible"].append([1, 1, picture != 3])
            columns["light"].append("lamp" if picture % 2 else "window")
    np.save(folder / name, columns)  # type: ignore[arg-type]
    return folder / name


@pytest.fixture(scope="session")
def ears(tmp_path_factory) -> Path:
    """A folder with train_teacher.npy (6 subjects) and val_teacher.npy (3 others), four pictures each."""
    folder = tmp_path_factory.mktemp("ears")
    write_ears(folder, range(6), "train_teacher.npy")
    write_ears(folder, range(6, 9), "val_teacher.npy")
    return folder


def micro_config(ears: Path, out: Path) -> TrainConfig:
    """Two epochs of three steps of the smallest model, in float32 on the CPU."""
    return TrainConfig(
        data=ears,
        out=out,
        model=MICRO,
        epochs=2,
        batch_size=8,
        losses=LossWeights(perceptual=0.0),
        sam_weights=None,
        precision="32",
        num_workers=0,
        accelerator="cpu",
    )


@contextmanager
def logged():
    """The lines that training logs meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("training")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture
def micro_run(ears, tmp_path) -> TrainConfig:
    """A run of its own for a test."""
    return micro_config(ears, tmp_path / "run")
