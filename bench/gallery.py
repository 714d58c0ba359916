"""The gallery measured: durable enrolment, recall and latency beside hnswlib and usearch, memory, restart. One run.

    python -m bench.gallery --count 1000000 --work /tmp/gallery --out /tmp/gallery.json

Every part runs in a process of its own, so that memory is its own. Everything is on this machine at this moment:
compare the rows with each other, not with another day.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from bench import gallery_parts, gallery_rivals
from bench.clustered import RANK
from bench.gallery_vectors import Vectors, prepare
from common.machine import usable_cpus

Row = dict[str, Any]
Part = Callable[[Vectors, Path, argparse.Namespace], Row]
PARTS: dict[str, Part] = {
    "enrol": lambda vectors, folder, options: gallery_parts.enrol(vectors, folder),
    "embed": lambda vectors, folder, options: gallery_parts.enrol_pictures(
        options.bundle, folder.with_name("pictures")
    ),
    "exact": lambda vectors, folder, options: gallery_parts.build(
        folder, vectors.dim, "exact", options.threads, options.recall
    ),
    "hnsw": lambda vectors, folder, options: gallery_parts.build(
        folder, vectors.dim, "hnsw", options.threads, options.recall
    ),
    "ivf": lambda vectors, folder, options: gallery_parts.build(
        folder, vectors.dim, "ivf", options.threads, options.recall
    ),
    "hnswlib": lambda vectors, folder, options: gallery_rivals.hnswlib_f32(vectors, options.threads, options.recall),
    "usearch": lambda vectors, folder, options: gallery_rivals.usearch_f16(vectors, options.threads, options.recall),
}
KINDS = ("exact", "hnsw", "ivf")


def main() -> int:
    """Run the parts and print a row of each."""
    options = parser().parse_args()
    work = Path(tempfile.mkdtemp(prefix="ear-teacher-bench-", dir=options.work))
    asked = {"count": options.count, "dim": options.dim, "rank": options.rank}
    report: dict[str, Any] = {"machine": machine(), **asked, "rows": []}
    try:
        vectors = prepare(work, options.count, options.dim, options.queries, options.rank)
        for name in options.parts.split(","):
            row = alone(run_part, name, vectors, work / "gallery", options)
            if name in KINDS:
                row |= alone(gallery_parts.ask, vectors, work / "gallery", name)
            row |= {"load": round(os.getloadavg()[0], 1)}
            report["rows"].append(row)
            print(json.dumps(row), flush=True)
            if options.out:
                options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(work)
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, metavar="VECTORS")
    parser.add_argument("--dim", type=int, default=1024, metavar="NUMBERS")
    parser.add_argument("--rank", type=int, default=RANK, help="directions that carry identity (%(default)s)")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2, help="for building; searches run on one")
    parser.add_argument("--recall", type=float, default=0.96, help="that every index is tuned to (%(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure, in this order (%(default)s)")
    parser.add_argument("--bundle", type=Path, default=Path("demo/bundle"), help="the model of part `embed`")
    parser.add_argument("--work", type=Path, help="a folder for the vectors and the gallery: 25 KB a vector")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    return parser


def run_part(name: str, vectors: Vectors, folder: Path, options: argparse.Namespace) -> Row:
    return PARTS[name](vectors, folder, options)


def alone(job: Callable[..., Row], *arguments: Any) -> Row:
    """The job's row, from a process that ends with it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(job, *arguments).result()


def machine() -> str:
    return f"{usable_cpus()} cores, {platform.processor() or platform.machine()}"


if __name__ == "__main__":
    sys.exit(main())
