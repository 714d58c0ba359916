"""What is checked before the truth is asked to change: vectors by space, and labels of a patch. Touches no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from index.errors import BadItem, BadVector, SpaceMismatch
from index.items import SOURCE_LIMIT, Item, NewItem, Vectors, check_labels, check_text
from index.store.changes import Columns, Patch
from index.vectors import as_matrix, as_unit

Dims = Mapping[str, int]  # space id -> numbers per vector, of every live space


def columns(items: Sequence[NewItem], own: str, dims: Dims) -> dict[str, Columns]:
    """All items' vectors, by space; `own` is that of their `mu` and `embedding`. Raises BadVector, SpaceMismatch."""
    by_space: dict[str, list[tuple[int, Vectors]]] = {}
    for n, item in enumerate(items):
        for space_id, pair in {**item.also, own: Vectors(item.mu, item.embedding)}.items():
            by_space.setdefault(space_id, []).append((n, pair))
    for space_id in by_space:
        if space_id not in dims:
            raise SpaceMismatch(" or ".join(dims), space_id)
    return {space_id: column(pairs, dims[space_id]) for space_id, pairs in by_space.items()}


def without_retired(item: NewItem, dims: Dims) -> NewItem:
    """The item without vectors for spaces that are not live any more."""
    if item.also.keys() <= dims.keys():
        return item
    return replace(item, also={space_id: pair for space_id, pair in item.also.items() if space_id in dims})


def check_covers(columns: Mapping[str, Columns], active: str, count: int) -> None:
    """Every item needs vectors in the active space, or it would not be found. Raises SpaceMismatch."""
    if active not in columns or len(columns[active].rows) != count:
        raise SpaceMismatch(active, ", ".join(columns))


def column(pairs: Sequence[tuple[int, Vectors]], dim: int) -> Columns:
    """Checked vectors of some items: mu as it is, the embedding made unit length."""
    for n, pair in pairs:
        for name, vector in (("mu", pair.mu), ("embedding", pair.embedding)):
            if np.shape(vector) != (dim,):
                raise BadVector(f"items[{n}].{name} has shape {np.shape(vector)}: this gallery holds {dim} numbers")
    mu = as_matrix(np.stack([pair.mu for _, pair in pairs]), dim, "mu")
    embeddings = as_unit(np.stack([pair.embedding for _, pair in pairs]), dim, "embedding")
    return Columns([n for n, _ in pairs], mu, embeddings)


def replacement(vectors: Mapping[str, Vectors], active: str, dims: Dims) -> dict[str, Vectors]:
    """Checked vectors that replace an item's; the active space must be among them. Raises SpaceMismatch, BadVector."""
    if active not in vectors:
        raise SpaceMismatch(active, ", ".join(vectors) or "none", "give the vectors of the active space too")
    checked = columns([NewItem(b"-", vectors[active].mu, vectors[active].embedding, also=vectors)], active, dims)
    return {space_id: Vectors(some.mu[0], some.embeddings[0]) for space_id, some in checked.items()}


def patched(item: Item, changes: Mapping[str, Any], with_vectors: bool) -> Patch:
    """An item's labels with what is given in their place. Raises BadItem."""
    side = changes.get("side", item.side)
    subject, tags = check_labels(changes.get("subject", item.subject), side, changes.get("tags", item.tags))
    patch = Patch(subject, side, tags, check_text("source", changes.get("source", item.source), SOURCE_LIMIT))
    if (patch.side == "right") != (item.side == "right") and not with_vectors:
        raise BadItem(
            f"side cannot change from {item.side or 'unknown'} to {patch.side or 'unknown'} alone: the stored "
            "vectors are of the picture in its other orientation; give `vectors` of the picture mirrored anew"
        )
    return patch
