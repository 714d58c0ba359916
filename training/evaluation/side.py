"""Which side an ear is on, read from its latent by a linear classifier: what a service can do that is not told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def predict_sides(
    train: NDArray[np.float32], train_mirrored: NDArray[np.float32], posted: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which pictures show a right ear.

    Args:
        train, train_mirrored: (N, D) mu of training ears in left orientation, and of their mirror images, which look
            like right ears.
        posted: (M, D) mu of pictures as they were posted.

    Returns:
        (M,) True where it looks like a right ear.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    latents = np.concatenate([train, train_mirrored])
    is_right = np.repeat([False, True], [len(train), len(train_mirrored)])
    reader: Any = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    reader.fit(latents, is_right)
    predicted: NDArray[np.bool_] = reader.predict(posted).astype(bool)
    return predicted
