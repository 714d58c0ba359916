"""Which neighbours suit a gallery, by its size and the memory it may use, and building them from the stored vectors.

    up to `exact_items` vectors     exact   4 D bytes each (4 KB at D = 1024), nothing approximate
    while the graph fits            hnsw    0.4 to 1.3 KB each: the rule counts with 1.3
    beyond                          ivf     about 0.2 KB each, candidates re-ranked from disk

A gallery that shrinks goes back only at half of a limit, so that it does not swing.
"""

from __future__ import annotations

import faiss

from common.machine import memory_bytes
from index.ann.approximate import ApproximateIndex
from index.ann.brute_force import Source, Stopped
from index.ann.flat import FlatIndex
from index.ann.hnsw import HnswIndex
from index.ann.ivf_rabitq import IvfIndex
from index.config import GalleryConfig
from index.neighbours import Kind

ADD_STEP = 512  # vectors added at once: a graph takes its time, and stopping must not


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


def build_exact(source: Source) -> FlatIndex:
    """An exact part with everything in the space. Raises Stopped."""
    faiss.omp_set_num_threads(source.threads)
    part = FlatIndex(source.dim)
    for keys, matrix in source.batches():
        part.add(keys, matrix)
    return part


def fill_large(source: Source, large: ApproximateIndex, count: int) -> ApproximateIndex:
    """An empty approximate index, trained and filled with everything in the space, about `count`. Raises Stopped."""
    faiss.omp_set_num_threads(source.threads)
    large.train(source.sample(training_size(large.kind, count))[1])
    for keys, matrix in source.batches():
        for start in range(0, len(keys), ADD_STEP):
            if source.stop():
                raise Stopped
            large.add(keys[start : start + ADD_STEP], matrix[start : start + ADD_STEP])
    return large
