"""The bench's jobs, each in a process of its own, and the report that their results make.

Knows processes and what may go wrong with them; what is measured is `export.bench.worker`'s.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bundle.engines import build_engines
from bundle.errors import BundleError
from bundle.manifest import Manifest
from bundle.tensorrt.flavour import FLAVOURS
from export.bench.case import Job, Result
from export.bench.hardware import this_machine, versions
from export.errors import OptionError
from export.provenance import now

JOB_TIMEOUT_S = 3600.0
SCHEMA = 1


def measure(
    jobs: Iterable[Job], tell: Callable[[str], None] = lambda _: None, timeout_s: float = JOB_TIMEOUT_S
) -> tuple[list[Result], list[str]]:
    """Results of the jobs that could run here, and a sentence on each that could not or was unsteady.

    Raises OptionError where none could.
    """
    results: list[Result] = []
    notes: list[str] = []
    for job in jobs:
        name = f"{job.runtime} {job.precision}"
        tell(f"{name}, batch {', '.join(map(str, job.batches))}")
        found = _run(job, timeout_s)
        if isinstance(found, str):
            notes.append(f"{name}: not measured: {found}")
            continue
        results.append(found)
        notes += [f"{name}: {note}" for note in found.notes]
    if not results:
        raise OptionError("nothing could be measured: " + "; ".join(notes))
    return results, notes


def report(manifest: Manifest, results: list[Result], notes: list[str]) -> dict[str, Any]:
    """JSON values: what was measured, on what, of which bundle."""
    from common.provenance import commit

    return {
        "schema": SCHEMA,
        "created": now(),
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
