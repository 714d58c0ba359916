"""The bench's jobs: what one measures, each run in a process of its own, and the report that their results make.

Jobs and results are plain data that travels as JSON. What is measured is `export.bench.worker`'s.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bundle.engines import build_engines
from bundle.errors import BundleError
from bundle.manifest import Manifest
from bundle.tensorrt.flavour import FLAVOURS
from common.provenance import commit, utc_now
from export.bench.hardware import this_machine, versions
from export.errors import OptionError

STAGES = ("decode", "queue", "compute", "serialise")
"""Of a request, end to end."""
PARTS = ("host_to_device", "compute", "device_to_host")
"""Of a batch on a GPU, where the runtime tells them apart."""


@dataclass(frozen=True)
class Job:
    """One runtime and precision, measured at several batch sizes in a process of its own."""

    bundle: str
    runtime: str
    precision: str
    batches: tuple[int, ...]
    threads: int
    """Of the CPU; 0: one a physical core."""
    window_s: float
    gflop: float | None = None
    """Arithmetic of the encoder's matrix products for one picture, 1e9 operations; None: unknown."""
    pictures: tuple[str, ...] = ()
    """Picture files for the end-to-end figures; none: the golden crops as JPEG."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """From `to_dict` or its JSON."""
        tuples = {name: tuple(values[name]) for name in ("batches", "pictures")}
        return cls(**{**values, **tuples})


@dataclass
class Row:
    """The figures of one runtime, precision and batch. None: not measured, `Result.notes` say why."""

    runtime: str
    precision: str
    batch: int
    device: dict[str, Any]
    """`Timing.to_dict()` of the session alone."""
    device_parts_ms: dict[str, float] | None
    """By name of PARTS."""
    end_to_end: dict[str, Any]
    """`Timing.to_dict()` from picture files to JSON."""
    stages_ms: dict[str, float]
    device_images_per_s: float
    end_to_end_images_per_s: float
    peak_gflops: float | None
    """Matmul limit of the machine, measured just before and after this row."""
    matmul_gflop: float | None
    """Arithmetic of the batch's matrix products and convolutions."""
    share_of_limit: float | None
    """Time that the arithmetic would take at the limit, over the time it took: 1 is perfect, in float32 on a CPU."""


@dataclass
class Result:
    """What one job gave."""

    runtime: str
    precision: str
    cold_start_s: float
    """From opening the session in a new process to its first answer."""
    warm_start_s: float
    """The same again in the same process: library loaded, file in the page cache."""
    memory_mib: int
    """Largest resident memory of the process up to a run of the largest batch."""
    gpu_memory_mib: int | None
    rows: list[Row]
    notes: list[str]
    """Sentences on what to bear in mind."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """From `to_dict` or its JSON."""
        return cls(**{**values, "rows": [Row(**row) for row in values["rows"]]})


logger = logging.getLogger(__name__)

JOB_TIMEOUT_S = 3600.0
SCHEMA = 1


def measure(jobs: Iterable[Job], timeout_s: float = JOB_TIMEOUT_S) -> tuple[list[Result], list[str]]:
    """Results of the jobs that could run here, and a sentence on each that could not or was unsteady.

    Raises OptionError where none could.
    """
    results: list[Result] = []
    notes: list[str] = []
    for job in jobs:
        name = f"{job.runtime} {job.precision}"
        logger.info("%s, batch %s", name, ", ".join(map(str, job.batches)))
        outcome = _run(job, timeout_s)
        if isinstance(outcome, str):
            notes.append(f"{name}: not measured: {outcome}")
            continue
        results.append(outcome)
        notes += [f"{name}: {note}" for note in outcome.notes]
    if not results:
        raise OptionError("nothing could be measured: " + "; ".join(notes))
    return results, notes


def report(manifest: Manifest, results: list[Result], notes: list[str]) -> dict[str, Any]:
    """JSON values: what was measured, on what, of which bundle."""
    return {
        "schema": SCHEMA,
        "created": utc_now(),
        "commit": commit(),
        "hardware": this_machine().to_dict(),
        "versions": versions(),
        "bundle_id": manifest.bundle_id,
        "space_id": manifest.space_id,
        "preset": manifest.preset,
        "sam_size_px": manifest.sam_size_px,
        "results": [result.to_dict() for result in results],
        "notes": notes,
    }


def _run(job: Job, timeout_s: float) -> Result | str:
    """The result, or why there is none."""
    try:
        if job.runtime in FLAVOURS:  # built before the clock runs: a build is no start
            build_engines(job.bundle, job.runtime, job.precision)
        done = subprocess.run(
            [sys.executable, "-m", "export.bench.worker"],
            input=json.dumps(job.to_dict()),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=Path(__file__).resolve().parents[2],
        )
    except BundleError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"it took more than {timeout_s:g} s; give smaller --batches or fewer --seconds"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"its process ended with status {done.returncode}"])[-1]
    return Result.from_dict(json.loads(done.stdout.splitlines()[-1]))
