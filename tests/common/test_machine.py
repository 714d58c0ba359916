"""CPUs and memory within the container's share, for both versions of cgroups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.machine import memory_bytes, physical_cores, usable_cpus

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four logical CPUs on two cores; no cgroup yet."""
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    return tmp_path


def cgroup(root: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """The file of memberships and the mount, with these files in it."""
    for name, text in files.items():
        path = root / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "membership").write_text(membership + "\n")
    return root / "membership", root / "fs"


def test_hyper_threads_of_one_core_count_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = machine / "none"
    assert physical_cores(machine, nothing, nothing) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    assert physical_cores(machine, nothing, nothing) == 1
    assert usable_cpus(nothing, nothing) == 2


@pytest.mark.parametrize(
    ("quota", "cores", "cpus"),
    [("100000 100000", 1, 1), ("150000 100000", 2, 2), ("300000 100000", 2, 3), ("max 100000", 2, 4), ("?", 2, 4)],
)
def test_a_quota_of_version_2_is_kept(machine: Path, quota: str, cores: int, cpus: int) -> None:
    group = cgroup(machine, "0::/", {"cpu.max": quota})
    assert (physical_cores(machine, *group), usable_cpus(*group)) == (cores, cpus)


@pytest.mark.parametrize(("quota", "cpus"), [("100000", 1), ("250000", 3), ("-1", 4)])
def test_a_quota_of_version_1_is_kept(machine: Path, quota: str, cpus: int) -> None:
    files = {"cpu/box/cpu.cfs_quota_us": quota, "cpu/box/cpu.cfs_period_us": "100000"}
    assert usable_cpus(*cgroup(machine, "3:cpu,cpuacct:/box\n1:memory:/other", files)) == cpus


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/", {"memory.max": f"{GIB}"}),
        ("0::/a/b", {"a/memory.max": f"{GIB}", "a/b/memory.max": "max"}),
        ("0::/a/b", {"a/memory.max": f"{2 * GIB}", "a/b/memory.max": f"{GIB}"}),
        ("4:memory:/a", {"memory/a/memory.limit_in_bytes": f"{GIB}"}),
        ("4:memory:/seen/by/the/host", {"memory/memory.limit_in_bytes": f"{GIB}"}),
    ],
)
def test_the_smallest_memory_limit_counts(tmp_path: Path, membership: str, files: dict[str, str]) -> None:
    assert memory_bytes(*cgroup(tmp_path, membership, files)) == GIB


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", "?"])
def test_without_a_limit_the_machines_memory_counts(tmp_path: Path, limit: str) -> None:
    assert memory_bytes(*cgroup(tmp_path, "0::/", {"memory.max": limit})) == memory_bytes(tmp_path, tmp_path)


def test_a_system_that_tells_nothing_still_gets_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert physical_cores(tmp_path, tmp_path, tmp_path) == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cpus(tmp_path, tmp_path) == os.cpu_count()
    assert physical_cores(tmp_path, tmp_path, tmp_path) >= 1
