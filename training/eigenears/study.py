"""From a model and pictures to components and what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.data.crops import Framer, examine_all, landmark_count
from training.eigenears.anatomy import anatomy
from training.eigenears.components import Eigenears
from training.eigenears.sheet import rows_of
from training.evaluation.choice import StudyConfig, pictures
from training.evaluation.model import StudiedModel, encode_all


def study(
    model: StudiedModel, data: Path, components: int, use_boxes: bool = True
) -> tuple[Eigenears, list[dict[str, float]]]:
    """Components of the training pictures' latents (of all pictures, where nothing tells which those are), judged on
    the validation pictures. Returns them and one row of figures each."""
    chosen = pictures(StudyConfig(data))
    judged, learned = chosen.judged, chosen.learned
    framer = Framer(model.framing, use_boxes, landmark_count(judged))
    mine = examine_all(judged, framer, "pictures")
    mu = encode_all(model, np.stack([item.crop for item in mine.items]), "pictures").mu
    basis = mu
    if learned is not None:
        theirs = examine_all(learned, framer, "training pictures")
        basis = encode_all(model, np.stack([item.crop for item in theirs.items]), "training pictures").mu
    ears = Eigenears.fit(basis, components)
    return ears, rows_of(ears, anatomy(ears.scores(mu), mine.items, mine.kept))
