"""Real processes at work on one PostgreSQL, one of them killed: what is acknowledged is neither lost nor doubled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.index.ears import embedding
from tests.index.shared.worker import open_one

pytestmark = pytest.mark.slow
CHANGES = 24


@pytest.fixture(params=["faiss", "milvus"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Where each of three processes keeps its neighbours: a folder each, or one Milvus for all."""
    if request.param == "milvus":
        return [request.getfixturevalue("milvus_server")] * 3
    return [str(tmp_path / name) for name in ("one", "two", "three")]


def begin(url: str, where: str, first: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.index.shared.worker", url, where, str(first), str(CHANGES)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(lines: list[str], word: str) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith(word + " ")}


def test_two_processes_and_a_kill_lose_and_double_nothing(url: str, places: list[str]):
    with begin(url, places[0], 0) as steady, begin(url, places[1], 1000) as killed:
        assert killed.stdout is not None
        heard = [killed.stdout.readline().strip() for _ in range(CHANGES)]  # it is in the middle of its work now
        killed.kill()
        lines = [*heard, *killed.stdout.read().splitlines(), *steady.communicate()[0].splitlines()]
    assert steady.returncode == 0

    kept = told(lines, "enrolled") - told(lines, "deleting")
    with open_one(url, places[2]) as gallery:
        found = [hit.item for hit in gallery.search(embedding(1, 1), 1000)[0]]
        stored = gallery.list(limit=1000).items
    assert {item.id for item in found} == {item.id for item in stored}
    assert len({item.source for item in stored}) == len(stored)
    assert kept <= {item.id for item in stored}
    assert not told(lines, "deleted") & {item.id for item in stored}
    assert len(stored) - len(kept) <= 1, "at most the change that the kill interrupted was not told"
