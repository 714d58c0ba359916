"""A point of recall and latency, and the memory that a process holds for itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.clustered import Matrix
from bench.gallery_vectors import K, Vectors

Search = Callable[[Matrix], list[int]]  # one query (D,) -> numbers of the K nearest vectors
WARM = 50


def measured(search: Search, vectors: Vectors) -> dict[str, Any]:
    """Recall@10, and latency of one query at a time, in ms; `cpu_ms` is what a busy machine does not change."""
    queries = vectors.queries
    for query in queries[:WARM]:
        search(query)
    shares, times, cpu = [], [], time.process_time()
    for query, expected in zip(queries, vectors.truth, strict=True):
        started = time.perf_counter()
        answer = search(query)
        times.append(1000 * (time.perf_counter() - started))
        shares.append(len(expected.intersection(answer)) / K)
    cpu_ms = 1000 * (time.process_time() - cpu) / len(times)
    p50, p99 = np.percentile(times, [50, 99])
    latency = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "cpu_ms": round(cpu_ms, 2)}
    return {"recall@10": round(float(np.mean(shares)), 4), **latency}


def own_bytes() -> int:
    """Memory of this process that no file backs: what a mapped file needs can be given back."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
