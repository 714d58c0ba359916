"""Runs one bench job in a process of its own, so that its start and its memory are its own: JSON in, JSON out.

`python -m export.bench.worker` reads a `Job` from stdin and writes a `Result` to stdout. Imports no torch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import BundleError, ContractError
from bundle.golden import GOLDEN_NAME
from bundle.image import Picture
from bundle.manifest import Manifest, read_manifest
from bundle.model import choose_variant
from bundle.runtimes import open_session
from bundle.session import Session
from common.machine import physical_cores
from export.bench.clock import Timing, measure_until_stable
from export.bench.hardware import gpu_memory_mib, peak_memory_mib
from export.bench.jobs import PARTS, Job, Result, Row
from export.bench.peak import measure_peak
from export.bench.pipeline import Pipeline, picture_files


def run_job(job: Job) -> Result:
    """Measure one runtime at one precision. Raises BundleError where it cannot run here."""
    folder = Path(job.bundle)
    manifest = read_manifest(folder)
    with np.load(folder / GOLDEN_NAME, allow_pickle=False) as archive:
        crops = np.asarray(archive["crops"])
    session, cold_s = _start(folder, manifest, job, crops)
    session.close()
    session, warm_s = _start(folder, manifest, job, crops)
    try:
        session.run(_inputs(crops, max(job.batches)))
        memory_mib, on_gpu_mib = peak_memory_mib(), gpu_memory_mib(os.getpid())
        rows = [_row(session, manifest, job, crops, batch) for batch in job.batches]
    finally:
        session.close()
    unsteady = [str(row.batch) for row in rows if not (row.device["stable"] and row.end_to_end["stable"])]
    busy = "the machine was busy, or a longer --seconds is needed"
    notes = [f"windows did not agree within 10 % at batch {', '.join(unsteady)}: {busy}"]
    return Result(
        session.runtime, session.precision, cold_s, warm_s, memory_mib, on_gpu_mib, rows, notes if unsteady else []
    )


def _start(folder: Path, manifest: Manifest, job: Job, crops: Picture) -> tuple[Session, float]:
    variant = choose_variant(manifest, "encoder", job.runtime, job.precision)
    start = time.perf_counter()
    session = open_session(folder / variant.file, job.runtime, job.threads, variant.precision)
    session.run(_inputs(crops, 1))
    return session, time.perf_counter() - start


def _inputs(crops: Picture, batch: int) -> dict[str, Any]:
    return {"image": np.resize(crops, (batch, *crops.shape[1:]))}


def _row(session: Session, manifest: Manifest, job: Job, crops: Picture, batch: int) -> Row:
    before = measure_peak(session.runtime, session.precision, job.threads)
    inputs = _inputs(crops, batch)
    device = measure_until_stable(lambda: session.run(inputs), job.window_s)
    whole, stages_ms = _end_to_end(session, manifest, job, crops, batch)
    after = measure_peak(session.runtime, session.precision, job.threads)
    peak = max((peak.gflops for peak in (before, after) if peak is not None), default=None)
    work = job.gflop * batch if job.gflop else None
    seconds = device.latency.mean_ms / 1000
    return Row(
        runtime=session.runtime,
        precision=session.precision,
        batch=batch,
        device=device.to_dict(),
        device_parts_ms=_parts_ms(session, inputs),
        end_to_end=whole.to_dict(),
        stages_ms=stages_ms,
        device_images_per_s=batch / seconds,
        end_to_end_images_per_s=batch / (whole.latency.mean_ms / 1000),
        peak_gflops=peak,
        matmul_gflop=work,
        share_of_limit=work / peak / seconds if work and peak else None,
    )


def _end_to_end(
    session: Session, manifest: Manifest, job: Job, crops: Picture, batch: int
) -> tuple[Timing, dict[str, float]]:
    sources = [Path(name).read_bytes() for name in job.pictures] or picture_files(crops)
    files = [sources[number % len(sources)] for number in range(batch)]
    pipeline = Pipeline(session, manifest.framing, job.threads or physical_cores())
    try:
        timing = measure_until_stable(lambda: pipeline.request(files), job.window_s)
    finally:
        pipeline.close()
    return timing, pipeline.times.means_ms()


def _parts_ms(session: Session, inputs: dict[str, Any]) -> dict[str, float] | None:
    """Copy in, compute, copy out, from sessions that can tell them apart (TensorRT, by CUDA events)."""
    timer = getattr(session, "device_times_ms", None)
    if timer is None:
        return None
    try:
        samples = np.asarray([timer(inputs) for _ in range(20)])
    except ContractError:  # beyond the engine's largest batch, which `run` cuts into parts
        return None
    return dict(zip(PARTS, np.median(samples, axis=0).round(4).tolist(), strict=True))


def main() -> int:
    """Job on stdin, Result on stdout; a mistake that a user can correct is one sentence on stderr and status 2."""
    try:
        print(json.dumps(run_job(Job.from_dict(json.load(sys.stdin))).to_dict()))
    except BundleError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
