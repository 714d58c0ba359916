"""Made-up ears for the gallery's tests: clustered vectors, one cluster per subject, and a crop that names itself."""

from __future__ import annotations

import numpy as np

from index.items import NewItem, Side

DIM = 32
SPACE = "sp_" + "a" * 32
OTHER_SPACE = "sp_" + "b" * 32


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def embedding(subject: int, seed: int, dim: int = DIM) -> np.ndarray:
    """(dim,) float32 of unit length, near its subject's centre."""
    centre = np.random.default_rng(subject).normal(size=dim)
    return unit(centre + 0.3 * np.random.default_rng(10_000 + seed).normal(size=dim))


def new_item(n: int, subject: str | None = "", side: Side | None = None, tags: tuple[str, ...] = ()) -> NewItem:
    """The n-th ear; ten subjects take turns unless one is given (None: nobody)."""
    name = f"s{n % 10}" if subject == "" else subject
    vector = embedding(n % 10, n)
    return NewItem(
        crop=f"picture {n}".encode(),
        mu=(vector * 3).astype(np.float32),
        embedding=vector,
        subject=name,
        side=side,
        tags=tags,
        source=f"ear_{n}.png",
        box=(1.0, 2.0, 30.5, 40.5),
    )
