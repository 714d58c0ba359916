"""What the encoder says of an ear, and which of an ear and its mirror image is the left one. Knows no queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.image import Picture, mirror
from bundle.model import EarModel, Encoding
from index.items import Vectors

Vector = NDArray[np.float32]
SIDE_STEEPNESS = 12.0
"""Of the logistic from the logarithm of two spreads' ratio to the probability of a side: fitted to rendered ears."""


@dataclass(frozen=True)
class Encoded:
    """What the encoder says about one ear; each (D,) float32. `embedding` has length 1.

    spread: expected error of its landmarks as a share of the crop's side; None where the bundle does not say.
    """

    embedding: Vector
    mu: Vector
    logvar: Vector
    spread: float | None = None


def encoded_rows(encoding: Encoding) -> list[Encoded]:
    """A batch, ear by ear."""
    spreads = [None] * len(encoding.mu) if encoding.spread is None else encoding.spread.tolist()
    columns = (encoding.embedding, encoding.mu, encoding.logvar, spreads)
    return [Encoded(*row) for row in zip(*columns, strict=True)]


def left_of(posted: Encoded, turned: Encoded) -> tuple[Encoded, float]:
    """Of an ear and its mirror image the one that shows a left ear, and how probable that is.

    It is the one whose landmarks are surer, since the encoder has learned left ears. Of an encoder with `spread`.
    """
    ratio = math.log(max(turned.spread or 0.0, 1e-9) / max(posted.spread or 0.0, 1e-9))
    guess = 1.0 / (1.0 + math.exp(-SIDE_STEEPNESS * min(abs(ratio), 4.0)))
    return (posted if ratio >= 0 else turned), guess


def embedded(model: EarModel, crops: Sequence[Picture], unknown: Sequence[bool] = ()) -> list[Vectors]:
    """The vectors of (S, S, 3) uint8 crops in left orientation, past the queue of the requests. Blocks.

    unknown: whether the side of each is unknown: of such a crop and its mirror image the left ear counts, where the
    encoder tells which one that is.
    """
    if not crops:
        return []
    rows = encoded_rows(model.encode(np.stack(crops)))
    places = [n for n, is_unknown in enumerate(unknown) if is_unknown and model.has_spread]
    if places:
        turned = encoded_rows(model.encode(np.stack([mirror(crops[n]) for n in places])))
        for n, other in zip(places, turned, strict=True):
            rows[n] = left_of(rows[n], other)[0]
    return [Vectors(one.mu, one.embedding) for one in rows]
