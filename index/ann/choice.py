"""Which neighbours suit a gallery: the rule from its size and the memory it may use, and how to override it.

    up to `exact_items` vectors     exact   4 D bytes each (4 KB at D = 1024), nothing approximate
    while the graph fits            hnsw    0.4 to 1.3 KB each: the rule counts with 1.3
    beyond                          ivf     about 0.2 KB each, candidates re-ranked from disk

A gallery that shrinks goes back only at half of a limit, so that it does not swing.
"""

from __future__ import annotations

from common.machine import memory_bytes
from index.ann.approximate import ApproximateIndex
from index.ann.hnsw import HnswIndex
from index.ann.ivf_rabitq import IvfIndex
from index.config import GalleryConfig
from index.neighbours import Kind


def choose(count: int, dim: int, config: GalleryConfig, present: Kind) -> Kind:
    """The kind for `count` vectors of `dim` numbers, where `present` is the kind that is there now."""
    if config.neighbours != "auto":
        return config.neighbours
    slack = 2 if present != "exact" else 1
    if count <= config.exact_items // slack:
        return "exact"
    slack = 2 if present == "ivf" else 1
    graph_bytes = count * HnswIndex.bytes_per_vector(dim)
    return "hnsw" if graph_bytes <= (config.memory_bytes or memory_bytes() // 2) // slack else "ivf"


def new_large(kind: Kind, dim: int, count: int) -> ApproximateIndex:
    """An empty approximate index for about `count` vectors."""
    return HnswIndex(dim) if kind == "hnsw" else IvfIndex(dim, count)


def training_size(kind: Kind, count: int) -> int:
    """How many vectors an approximate index learns from."""
    return 20_000 if kind == "hnsw" else IvfIndex.training_size(count)
