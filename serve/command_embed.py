"""`ear-teacher embed`: pictures in bulk to embeddings in Parquet, here or on a Ray cluster; can be run again."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serve.bulk.job import Job
    from serve.bulk.part import Engine


def parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher embed",
        description="Embed every picture of IN into Parquet files in the folder OUT: one row per picture, those that "
        "cannot be embedded with null vectors and in errors.parquet. Run the same command again after a failure: it "
        "goes on with the parts that are missing.",
    )
    parser.add_argument("source", metavar="IN", help="folder, .tar or .parquet (column image or path); any fsspec path")
    parser.add_argument("out", metavar="OUT", help="folder for the result; any fsspec path")
    model = parser.add_argument_group("the model")
    model.add_argument("--bundle", required=True, metavar="FOLDER", help="the bundle that embeds")
    model.add_argument("--runtime", default="auto", help="what runs it (default: the fastest that loads)")
    model.add_argument("--precision", default="auto", choices=["auto", "fp32", "fp16"])
    model.add_argument("--threads", type=int, default=0, help="threads of one model run (default: one per core)")
    model.add_argument("--batch", type=int, default=16, metavar="PICTURES", help="pictures in one run (default 16)")
    work = parser.add_argument_group("the work")
    work.add_argument("--part-rows", type=int, default=1024, metavar="PICTURES", help="in one file (default 1024)")
    work.add_argument("--no-mu", action="store_true", help="keep the embedding only: half the space")
    work.add_argument(
        "--decode-threads",
        type=int,
        default=0,
        help="threads that read and decode (default: 2, beside a GPU one per core)",
    )
    ray = parser.add_argument_group("on a Ray cluster (pip install '.[scale]')")
    ray.add_argument("--ray", metavar="ADDRESS", help="host:port or ray://host:port; auto: the one this machine is in")
    ray.add_argument("--workers", type=int, default=0, help="most workers (default: as many as there is room for)")
    ray.add_argument("--cpus-per-worker", type=float, default=1.0, metavar="CPUS")
    ray.add_argument("--gpus-per-worker", type=float, default=0.0, metavar="GPUS")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb."""
    asked = parser().parse_args(argv)
    for name in ("part_rows", "batch"):
        if getattr(asked, name) < 1:
            parser().error(f"--{name.replace('_', '-')} is {getattr(asked, name)}: give 1 or more")
    if asked.decode_threads < 0:
        parser().error(f"--decode-threads is {asked.decode_threads}: give 0 (as many as the model needs) or more")
    from bundle.manifest import read_manifest
    from serve.bulk.job import Terms, absolute, open_job
    from serve.bulk.part import Engine

    space_id = read_manifest(asked.bundle).space_id
    job = open_job(absolute(asked.out), Terms(absolute(asked.source), space_id, asked.part_rows, not asked.no_mu))
    bundle = absolute(asked.bundle)
    engine = Engine(bundle, asked.runtime, asked.precision, asked.threads, asked.batch, asked.decode_threads)
    missing = job.missing()
    before = job.parts - len(missing)
    print(f"{job.inputs} inputs in {job.parts} parts, {before} of them done before", file=sys.stderr)
    started = time.monotonic()
    for count, _ in enumerate(run(asked, engine, job, missing), start=before + 1):
        print(f"\r{count}/{job.parts} parts", end="", file=sys.stderr, flush=True)
    errors = job.finish()
    took = time.monotonic() - started
    rate = f", {min(job.inputs, len(missing) * asked.part_rows) / took:.1f} a second" if missing else ""
    print(f"\n{job.inputs} rows in {asked.out}, {errors} of them errors{rate}", file=sys.stderr)
    return 0


def run(asked: argparse.Namespace, engine: Engine, job: Job, missing: list[int]) -> Iterator[int]:
    """Do the missing parts here, or on the cluster; yields each that is done."""
    if not missing:
        return
    if asked.ray is not None:
        from serve.bulk.ray_cluster import Workers, embed_on_ray

        workers = Workers(asked.workers, asked.cpus_per_worker, asked.gpus_per_worker)
        yield from embed_on_ray(asked.ray, workers, engine, job, missing)
        return
    from serve.bulk.part import PartEmbedder

    embedder = PartEmbedder(engine)
    try:
        for part in missing:
            embedder.embed(job, part)
            yield part
    finally:
        embedder.close()
