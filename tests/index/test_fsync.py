"""A kill cannot show a missing fsync: the kernel keeps what a dead process wrote. A traced run shows each one.

Between any two answers of a process, what was written to the write-ahead log is synced before the next answer leaves.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = "pwrite64,write,fsync,fdatasync"
ANSWER = re.compile(r'write\(1(?:<[^>]*>)?, "(enrolled|deleted|promoted)')
WROTE = re.compile(r"pwrite64\(\d+<[^>]*gallery\.sqlite-wal>")
SYNCED = re.compile(r"(?:fsync|fdatasync)\(\d+<[^>]*gallery\.sqlite-wal>\)\s+= 0")
ENOUGH = 30


def can_trace() -> bool:
    """Whether this machine lets strace look. CI installs it: there it is an error that it is absent."""
    if shutil.which("strace") is None:
        return "CI" in os.environ
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a working process asked of the kernel, in order, until it had given many answers."""
    place = tmp_path_factory.mktemp("traced")
    trace = ["strace", "-f", "-y", "-e", f"trace={CALLS}", "-o", str(place / "trace.txt")]
    command = [*trace, sys.executable, "-m", "tests.index.crash_worker", str(place / "gallery"), "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment, start_new_session=True) as worker:
        assert worker.stdout is not None
        for _ in range(ENOUGH):
            assert worker.stdout.readline()
        os.killpg(worker.pid, signal.SIGKILL)
    return whole((place / "trace.txt").read_text(errors="replace").splitlines())


def whole(lines: list[str]) -> list[str]:
    """The calls where they ended: a call that another thread's interrupted is told in two halves."""
    begun: dict[str, str] = {}
    ended = []
    for line in lines:
        thread, _, call = line.partition(" ")
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        else:
            resumed = re.match(r"\s*<\.\.\. \w+ resumed>(.*)", call)
            ended.append(begun.pop(thread, "") + resumed[1] if resumed else call.strip())
    return ended


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="strace is not here, or may not trace")
def test_every_answer_comes_after_the_fsync_of_its_commit(calls: list[str]):
    unsynced, writes, answers = 0, 0, 0
    for call in calls:
        if WROTE.search(call):
            unsynced, writes = unsynced + 1, writes + 1
        elif SYNCED.search(call):
            unsynced = 0
        elif ANSWER.search(call):
            answers += 1
            assert unsynced == 0, f"{call!r} left before the write-ahead log was synced"
    assert answers >= ENOUGH // 2
    assert writes >= answers / 3, "the trace missed the commits"
