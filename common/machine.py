"""What this process may use of the machine: CPUs by affinity, core topology and cgroup quota; memory by cgroup limit.

Reads cgroup v1 and v2, nested groups included (the smallest limit on the way to the root counts). Knows no GPU.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
TOPOLOGY = Path("/sys/devices/system/cpu")


def usable_cpus(membership: Path = MEMBERSHIP, mount: Path = CGROUP) -> int:
    """Logical CPUs that this process may run on, within the container's quota (rounded up); at least 1."""
    return max(1, min(len(_affinity()), _quota_cpus(membership, mount)))


def physical_cores(topology: Path = TOPOLOGY, membership: Path = MEMBERSHIP, mount: Path = CGROUP) -> int:
    """Cores that this process may run on, hyper-threads of one core counted once, within the quota; at least 1.

    The number for compute threads: two hyper-threads share one core's vector units. Where the system tells no
    affinity (macOS, Windows), half the logical CPUs.
    """
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    cores = {_siblings(topology, cpu) for cpu in _affinity()}
    return max(1, min(len(cores), _quota_cpus(membership, mount)))


def memory_bytes(membership: Path = MEMBERSHIP, mount: Path = CGROUP) -> int:
    """Bytes of memory that this process may use: the machine's, or the container's limit where that is smaller."""
    limits = [
        *_numbers(_groups("", membership, mount), "memory.max"),
        *_numbers(_groups("memory", membership, mount), "memory.limit_in_bytes"),
    ]
    return int(min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits]))


def _affinity() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # macOS, Windows
        return set(range(os.cpu_count() or 1))


def _siblings(topology: Path, cpu: int) -> str:
    """Text that all hyper-threads of one core share; the CPU's own number where the system tells nothing."""
    try:
        return (topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota_cpus(membership: Path, mount: Path) -> int:
    """Whole CPUs that the quota grants, rounded up; a very large number where there is none."""
    quotas = []
    for group in _groups("", membership, mount):
        quotas += _ratios(_words(group / "cpu.max"))
    for group in _groups("cpu", membership, mount):
        quotas += _ratios(_words(group / "cpu.cfs_quota_us") + _words(group / "cpu.cfs_period_us"))
    return math.ceil(min(quotas, default=1 << 30))


def _ratios(words: list[str]) -> list[float]:
    """Quota over period: none where the quota is `max` (v2) or negative (v1)."""
    try:
        quota, period = (int(word) for word in words)
    except ValueError:
        return []
    return [quota / period] if quota > 0 and period > 0 else []


def _numbers(groups: Iterator[Path], name: str) -> list[int]:
    """The number in a file of each group; `max`, and what is no number, are left out."""
    return [int(word) for group in groups for word in _words(group / name)[:1] if word.isdigit()]


def _groups(controller: str, membership: Path, mount: Path) -> Iterator[Path]:
    """Folders of this process's group and of those around it, for a v1 controller, or for v2 where it is empty.

    A container may see the host's path of its group while its own group is mounted at the root: folders that do not
    exist are no harm, and the root is always among them.
    """
    root = mount / controller
    path = _path_of_group(controller, membership)
    while True:
        yield root / path if path else root
        if not path:
            return
        path = path.rpartition("/")[0]


def _path_of_group(controller: str, membership: Path) -> str:
    """From lines such as `4:memory:/a/b` (v1) and `0::/a/b` (v2); empty for the root."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.strip("/")
    return ""


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
