"""The parts of the gallery's benchmark that run hnswlib and usearch: the same graph, bare, without a database.

Their rows are of the least effort that reaches the recall asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.clustered import Matrix
from bench.gallery_points import Search, measured, own_bytes
from bench.gallery_vectors import K, Vectors
from index.ann.hnsw import HnswIndex

LINKS, BUILD_EFFORT = 32, 80  # as many links as ours; over every number of a vector, more effort would take hours
EFFORTS = HnswIndex.ladder
STEP = 10_000


def hnswlib_f32(vectors: Vectors, threads: int, recall: float) -> dict[str, Any]:
    """The graph over float32 vectors."""
    import hnswlib

    stored, before, started = vectors.stored, own_bytes(), time.perf_counter()
    index = hnswlib.Index("ip", vectors.dim)
    index.init_index(vectors.count, ef_construction=BUILD_EFFORT, M=LINKS)
    for start in range(0, vectors.count, STEP):
        index.add_items(stored[start : start + STEP], num_threads=threads)
    facts = {"build_s": round(time.perf_counter() - started, 1)}
    facts["ram_bytes_per_vector"] = round((own_bytes() - before) / vectors.count)

    def at(effort: int) -> Search:
        index.set_ef(effort)
        return lambda query: [int(key) for key in index.knn_query(query, K, num_threads=1)[0][0]]

    return least(at, vectors, recall) | {"what": "hnswlib f32"} | facts


def usearch_f16(vectors: Vectors, threads: int, recall: float) -> dict[str, Any]:
    """The graph over float16 vectors; its 8-bit ones lose too much to reach the recall."""
    from usearch.index import Index

    stored, before, started = vectors.stored, own_bytes(), time.perf_counter()
    index = Index(ndim=vectors.dim, metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILD_EFFORT)
    for start in range(0, vectors.count, STEP):
        some = np.array(stored[start : start + STEP])
        index.add(np.arange(start, start + len(some)), some, threads=threads)
    facts = {"build_s": round(time.perf_counter() - started, 1)}
    facts["ram_bytes_per_vector"] = round((own_bytes() - before) / vectors.count)

    def at(effort: int) -> Search:
        index.expansion_search = effort

        def search(query: Matrix) -> list[int]:
            return [int(key) for key in index.search(query, K, threads=1).keys]

        return search

    return least(at, vectors, recall) | {"what": "usearch f16"} | facts


def least(at: Callable[[int], Search], vectors: Vectors, recall: float) -> dict[str, Any]:
    """The point of the least effort that reaches the recall, else of the most."""
    row: dict[str, Any] = {}
    for effort in EFFORTS:
        row = measured(at(effort), vectors) | {"effort": effort}
        if row["recall@10"] >= recall:
            break
    return row
