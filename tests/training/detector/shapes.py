"""A detector of milliseconds, and photos for it."""

import numpy as np
from PIL import Image

from tests.training.conftest import draw_ear
from tests.training.shapes import MICRO
from training.detector.config import DetectorConfig

LANDMARKS = 3
TINY = DetectorConfig(MICRO, LANDMARKS, coarse_px=80, channels=8, max_ears=2, passes=1)


def write_photos(folder, subjects, split):
    """Rows of a table: each an ear of 48 x 40 px somewhere in a photo of 96 x 128 px."""
    folder.mkdir(exist_ok=True)
    rows = []
    for subject in subjects:
        for picture in range(2):
            side = "left" if picture == 0 else "right"
            rng = np.random.default_rng([subject, picture])
            photo = Image.new("RGB", (128, 96), tuple(rng.integers(0, 90, 3).tolist()))
            x, y = rng.integers(0, 88), rng.integers(0, 48)
            photo.paste(draw_ear(subject, picture, side), (int(x), int(y)))
            name = f"p{subject}_{picture}.png"
            photo.save(folder / name)
            middle = x + (17 if side == "left" else 22)
            points = [(middle, y + 12), (middle, y + 24), (middle, y + 36)]
            rows.append([split, f"p{subject}", name, side, x + 5, y + 4, x + 35, y + 44, *sum(
                ([px, py, 1] for px, py in points), [])])  # fmt: skip
    return rows


def write_table(folder, rows):
    names = [f"{name}_{part}" for name in ("top", "middle", "bottom") for part in ("x", "y", "vis")]
    columns = ["split", "subject", "path", "side", "x1", "y1", "x2", "y2", *names]
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path = folder / "metadata.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
