"""From a model and pictures to components and what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.data.crops import Framer, frame_all, landmark_count
from training.eigenears.anatomy import anatomy
from training.eigenears.components import Eigenears
from training.eigenears.sheet import rows_of
from training.evaluation.model import StudiedModel, Told, encode_all
from training.evaluation.study import StudyConfig, pictures


def study(
    model: StudiedModel, data: Path, components: int, use_boxes: bool = True, tell: Told = lambda *_: None
) -> tuple[Eigenears, list[dict[str, float]]]:
    """Components of the training pictures' latents (of all pictures, where nothing tells which those are), judged on
    the validation pictures. Returns them and one row of figures each."""
    judged, learned = pictures(StudyConfig(data))
    framer = Framer(model.framing, use_boxes, landmark_count(judged))
    mine = frame_all(judged, framer, "pictures", tell)
    mu = encode_all(model, np.stack([item.crop for item in mine.items]), "pictures", tell).mu
    basis = mu
    if learned is not None:
        theirs = frame_all(learned, framer, "training pictures", tell)
        basis = encode_all(model, np.stack([item.crop for item in theirs.items]), "training pictures", tell).mu
    ears = Eigenears.fit(basis, components)
    return ears, rows_of(ears, anatomy(ears.scores(mu), mine.items, mine.kept))
