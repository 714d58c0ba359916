"""How many threads suit this machine: one a physical core that this process may use, within the container's share.

ONNX Runtime counts the machine's cores and knows no CPU quota; two hyper-threads of one core share its vector units.
"""

from __future__ import annotations

import os
from pathlib import Path

TOPOLOGY = Path("/sys/devices/system/cpu")
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores(topology: Path = TOPOLOGY, quota: Path = QUOTA) -> int:
    """At least 1. Linux's affinity, core topology and cgroup quota where readable, else half the logical CPUs."""
    try:
        logical = os.sched_getaffinity(0)
    except AttributeError:  # macOS, Windows
        return max(1, (os.cpu_count() or 2) // 2)
    cores = {_siblings(topology, cpu) for cpu in logical}
    return max(1, min(len(cores), _quota_cpus(quota) or len(cores)))


def _siblings(topology: Path, cpu: int) -> str:
    """A word that all hyper-threads of one core share; the CPU's own number where the machine tells nothing."""
    try:
        return (topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota_cpus(path: Path) -> int | None:
    """Whole CPUs that the cgroup grants (rounded up), or None for no limit."""
    try:
        quota, period = path.read_text().split()
        return None if quota == "max" else -(-int(quota) // int(period))
    except (OSError, ValueError):
        return None
