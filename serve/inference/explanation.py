"""Why two ears are near or far: along which eigenears they agree and differ, and the way from one to the other.

Pure arithmetic on latents; the pictures are drawn by the decoder elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve.inference.eigenears import Eigenears

Vector = NDArray[np.float32]
TOLD = 5
"""Components told of in each list."""
NOTABLE = 0.5
"""Standard deviations from the mean ear (or from each other) below which a component says nothing."""


@dataclass(frozen=True)
class Component:
    """One eigenear: where query and item lie on it, in standard deviations, and its share of the variance of ears."""

    index: int
    query: float
    item: float
    share: float

    @property
    def agreement(self) -> float:
        """How far both lie out to the same side; 0 where they lie on different sides."""
        return min(abs(self.query), abs(self.item)) if self.query * self.item > 0 else 0.0

    @property
    def difference(self) -> float:
        """How far they lie apart."""
        return abs(self.query - self.item)


@dataclass(frozen=True)
class Explanation:
    """Components on which both ears are unusual in the same way, and those on which they lie apart; strongest first."""

    agree: tuple[Component, ...]
    differ: tuple[Component, ...]


def explain(eigenears: Eigenears, query: Vector, item: Vector) -> Explanation:
    """query, item: (D,) float32 latents (`mu`) in left orientation. Components count by their share of the variance."""
    first, second = eigenears.coefficients(query), eigenears.coefficients(item)
    all_components = [
        Component(index, float(a), float(b), float(share))
        for index, (a, b, share) in enumerate(zip(first, second, eigenears.shares, strict=True))
    ]
    weight = {one.index: float(np.sqrt(max(one.share, 0.0))) for one in all_components}
    agree = [one for one in all_components if one.agreement >= NOTABLE and one.difference < one.agreement]
    differ = [one for one in all_components if one.difference >= NOTABLE and one not in agree]
    return Explanation(
        tuple(sorted(agree, key=lambda one: one.agreement * weight[one.index], reverse=True)[:TOLD]),
        tuple(sorted(differ, key=lambda one: one.difference * weight[one.index], reverse=True)[:TOLD]),
    )


def morph(query: Vector, item: Vector, steps: int) -> list[Vector]:
    """Latents on the straight way from query to item, both ends included."""
    return [np.asarray(query + (item - query) * at, np.float32) for at in np.linspace(0.0, 1.0, steps)]
