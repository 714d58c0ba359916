"""The gallery measured: durable enrolment, recall and latency beside hnswlib and usearch, memory, restart. One run.

    python -m bench.gallery --count 100000 --out /tmp/gallery.json

Everything is on this machine at this moment: compare the rows with each other, not with another day.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bench.clustered import Matrix, clustered
from index.config import GalleryConfig
from index.gallery import Gallery, open_gallery
from index.items import NewItem

SPACE = "sp_" + "0" * 32
K = 10
LINKS, BUILD_EFFORT = 32, 80  # the same for all three graphs
EFFORTS = (48, 96, 160, 256, 512)
TARGET = 0.95

Search = Callable[[Matrix], list[int]]  # one query (D,) -> numbers of the K nearest vectors


def main() -> None:
    given = parser().parse_args()
    vectors = np.concatenate(list(clustered(given.count + given.queries, given.dim)))
    chosen = np.random.default_rng(1).permutation(len(vectors))
    queries, stored = vectors[chosen[: given.queries]], vectors[chosen[given.queries :]]
    truth = exact(stored, queries)
    rows: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix="ear-teacher-bench-"))
    try:
        enrolled, numbers = enrol(folder, stored)
        rows.append(enrolled)
        for kind in ("exact", "hnsw", "ivf"):
            rows += measure_gallery(folder, kind, numbers, queries, truth, given.threads)
        rows += measure_hnswlib(stored, queries, truth, given.threads)
        rows += measure_usearch(stored, queries, truth, given.threads)
    finally:
        shutil.rmtree(folder)
    report = {
        "machine": platform.processor() or platform.machine(),
        "count": given.count,
        "dim": given.dim,
        "rows": rows,
    }
    print("\n".join(json.dumps(row) for row in rows))
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, metavar="VECTORS")
    parser.add_argument("--dim", type=int, default=1024, metavar="NUMBERS")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2, help="for building; searches run on one")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    return parser


def exact(stored: Matrix, queries: Matrix) -> list[set[int]]:
    """The numbers of the K truly nearest of each query."""
    flat = faiss.IndexFlatIP(stored.shape[1])
    flat.add(stored)
    return [set(row) for row in flat.search(queries, K)[1].tolist()]


def enrol(folder: Path, stored: Matrix, batch: int = 1000) -> tuple[dict[str, Any], dict[str, int]]:
    """Enrol ready vectors durably, in bulk and one by one; also the number of each item's id."""
    numbers: dict[str, int] = {}
    with open_gallery(folder, stored.shape[1], SPACE, GalleryConfig(neighbours="exact")) as gallery:
        started = time.perf_counter()
        for start in range(0, len(stored) - 200, batch):
            part = stored[start : min(start + batch, len(stored) - 200)]
            for n, item in enumerate(gallery.enrol([NewItem(b"crop", vector, vector) for vector in part])):
                numbers[item.id] = start + n
        bulk = (len(stored) - 200) / (time.perf_counter() - started)
        started = time.perf_counter()
        for n in range(len(stored) - 200, len(stored)):
            (item,) = gallery.enrol([NewItem(b"crop", stored[n], stored[n])])
            numbers[item.id] = n
        single = 200 / (time.perf_counter() - started)
    return {"what": "durable enrolment", "bulk_per_s": round(bulk), "one_by_one_per_s": round(single)}, numbers


def measure_gallery(
    folder: Path, kind: Any, numbers: dict[str, int], queries: Matrix, truth: list[set[int]], threads: int
) -> list[dict[str, Any]]:
    """Whole searches through the gallery, filters and database included, and a restart."""
    config = GalleryConfig(neighbours=kind, build_threads=threads)
    with open_gallery(folder, queries.shape[1], SPACE, config) as gallery:
        started = time.perf_counter()
        gallery.tend()
        built = time.perf_counter() - started
        row = measured(f"gallery {kind}", lambda query: found(gallery, query, numbers), queries, truth)
        status = gallery.spaces.status()[0]
        gallery.save()
    started = time.perf_counter()
    open_gallery(folder, queries.shape[1], SPACE, config).close()
    row |= {
        "effort": status.index.effort,
        "build_s": round(built, 1),
        "restart_s": round(time.perf_counter() - started, 2),
    }
    newest = max((folder / "neighbours" / SPACE).glob("[0-9]*"), key=lambda path: path.stat().st_mtime)
    return [row | {"bytes_per_vector": round((newest / "index.faiss").stat().st_size / len(numbers))}]


def found(gallery: Gallery, query: Matrix, numbers: dict[str, int]) -> list[int]:
    return [numbers[hit.item.id] for hit in gallery.search(query, K)[0]]


def measure_hnswlib(stored: Matrix, queries: Matrix, truth: list[set[int]], threads: int) -> list[dict[str, Any]]:
    """The same graph over float32 vectors."""
    import hnswlib

    index = hnswlib.Index("ip", stored.shape[1])
    index.init_index(len(stored), ef_construction=BUILD_EFFORT, M=LINKS)
    started = time.perf_counter()
    index.add_items(stored, num_threads=threads)
    built = time.perf_counter() - started
    with tempfile.NamedTemporaryFile() as file:
        index.save_index(file.name)
        size = Path(file.name).stat().st_size

    def at(effort: int) -> Search:
        index.set_ef(effort)
        return lambda query: list(index.knn_query(query, K, num_threads=1)[0][0])

    return [least(at, "hnswlib f32", queries, truth) | facts(built, size, len(stored))]


def measure_usearch(stored: Matrix, queries: Matrix, truth: list[set[int]], threads: int) -> list[dict[str, Any]]:
    """The same graph over 8-bit vectors."""
    from usearch.index import Index

    index = Index(ndim=stored.shape[1], metric="cos", dtype="i8", connectivity=LINKS, expansion_add=BUILD_EFFORT)
    started = time.perf_counter()
    index.add(np.arange(len(stored)), stored, threads=threads)
    built = time.perf_counter() - started
    with tempfile.NamedTemporaryFile() as file:
        index.save(file.name)
        size = Path(file.name).stat().st_size

    def at(effort: int) -> Search:
        index.expansion_search = effort
        return lambda query: [int(key) for key in index.search(query, K, threads=1).keys]

    return [least(at, "usearch i8", queries, truth) | facts(built, size, len(stored))]


def least(at: Callable[[int], Search], what: str, queries: Matrix, truth: list[set[int]]) -> dict[str, Any]:
    """The row of the least effort that reaches the target, else of the most."""
    row: dict[str, Any] = {}
    for effort in EFFORTS:
        row = measured(what, at(effort), queries, truth) | {"effort": effort}
        if row["recall@10"] >= TARGET:
            break
    return row


def measured(what: str, search: Search, queries: Matrix, truth: list[set[int]]) -> dict[str, Any]:
    """Recall, and latency of one query at a time."""
    for query in queries[:20]:
        search(query)
    shares, times = [], []
    for query, expected in zip(queries, truth, strict=True):
        started = time.perf_counter()
        answer = search(query)
        times.append(1000 * (time.perf_counter() - started))
        shares.append(len(expected.intersection(answer)) / K)
    p50, p99 = np.percentile(times, [50, 99])
    return {
        "what": what,
        "recall@10": round(float(np.mean(shares)), 4),
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
    }


def facts(built: float, size: int, count: int) -> dict[str, Any]:
    return {"build_s": round(built, 1), "bytes_per_vector": round(size / count)}


if __name__ == "__main__":
    main()
