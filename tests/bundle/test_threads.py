"""Physical cores within the container's share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle.threads import physical_cores


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Four logical CPUs on two cores."""
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    return tmp_path


def test_hyper_threads_of_one_core_count_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert physical_cores(machine, machine / "none") == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    assert physical_cores(machine, machine / "none") == 1


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("150000 100000", 2), ("max 100000", 2), ("?", 2)])
def test_a_containers_share_is_kept(machine: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    (machine / "cpu.max").write_text(quota + "\n")
    assert physical_cores(machine, machine / "cpu.max") == cores


def test_a_machine_that_tells_nothing_still_gets_threads(tmp_path: Path) -> None:
    assert physical_cores(tmp_path, tmp_path / "none") == len(os.sched_getaffinity(0))
    assert physical_cores() >= 1
