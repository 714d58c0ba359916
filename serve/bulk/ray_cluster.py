"""Runs the parts of a bulk job on a Ray cluster, by Ray Data: one loaded model per worker, parts handed out to them.

A worker that dies is replaced by Ray and its part is done again; the part's file makes that harmless. Workers read the
bundle, the source and the output by the same addresses as this process, and have this application installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from serve.bulk.errors import BulkFailed
from serve.bulk.job import Job
from serve.bulk.part import Engine, PartEmbedder

MOST_BLOCKS = 10_000  # Ray keeps the state of each in the driver's memory


@dataclass(frozen=True)
class Workers:
    """At most `count` workers (0: as many as the cluster has room for), and what each of them takes."""

    count: int = 0
    cpus: float = 1.0
    gpus: float = 0.0


class EmbedPart:
    """A worker: Ray Data makes one per place in the cluster and hands it parts."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self._embedder = PartEmbedder(engine)
        self._job = job

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        self._embedder.embed(self._job, int(row["part"]))
        return row


def embed_on_ray(address: str, workers: Workers, engine: Engine, job: Job, parts: list[int]) -> Iterator[int]:
    """Embed parts on the cluster at `address` ("local" starts one here); yields each that is done."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
    import ray

    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BulkFailed(f"no Ray cluster answers at {address}: {' '.join(str(error).split())}") from None
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        room = workers.count or most_workers(ray.cluster_resources(), workers)
        data = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=min(len(parts), MOST_BLOCKS))
        done = data.map(
            EmbedPart,
            fn_constructor_kwargs={"engine": engine, "job": job},
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(room, len(parts))),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus or None,
        )
        for row in done.iter_rows():
            yield int(row["part"])
    except ray.exceptions.RayError as error:
        words = " ".join(str(error).split())
        raise BulkFailed(f"the cluster gave up: {words[-400:]}; what is done stays, run the command again") from error
    finally:
        ray.shutdown()


def most_workers(resources: dict[str, float], workers: Workers) -> int:
    """How many workers the cluster has room for; at least one, which then waits for room."""
    room = [resources.get("CPU", 0) / workers.cpus] if workers.cpus else []
    if workers.gpus:
        room.append(resources.get("GPU", 0) / workers.gpus)
    return max(1, int(min(room, default=1)))
