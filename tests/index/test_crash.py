"""A killed process loses nothing that it acknowledged, and nothing deleted returns."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from index.gallery import Gallery
from index.items import Item
from index.opening import open_read_only
from index.store import rows
from tests.index.crash_worker import open_active
from tests.index.ears import DIM, embedding

ROOT = Path(__file__).parents[2]


def run_and_kill(folder: Path, start: int, moments: random.Random) -> list[list[str]]:
    """Let a worker tell some answers, kill it with SIGKILL a moment later, and return all that it told."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.index.crash_worker", str(folder), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith(b"ready")
        lines = [worker.stdout.readline() for _ in range(moments.randint(10, 100))]
        time.sleep(moments.uniform(0.0, 0.03))
        worker.send_signal(signal.SIGKILL)
        lines += worker.stdout.readlines()
    assert worker.returncode == -signal.SIGKILL
    return [line.decode().rstrip("\n").split("\t") for line in lines]


class Acknowledged:
    """What the killed processes said: the only thing that a caller can know."""

    def __init__(self) -> None:
        self.enrolled: dict[str, str] = {}
        self.promoted: Counter[str] = Counter()
        self.deleted: set[str] = set()
        self.uncertain: set[str] = set()  # a delete was asked for and the answer never came

    def hear(self, lines: list[list[str]]) -> None:
        for verb, item_id, source in lines:
            if verb == "enrolled":
                self.enrolled[item_id] = source
            elif verb == "deleting":
                self.uncertain.add(item_id)
            elif verb == "promoted":
                self.promoted[item_id] += 1
            elif verb == "deleted":
                self.deleted.add(item_id)
                self.uncertain.discard(item_id)

    def check(self, gallery: Gallery) -> None:
        listed = everything(gallery)
        ids = [item.id for item in listed]
        assert len(ids) == len(set(ids))
        assert not self.deleted & set(ids)
        missing = set(self.enrolled) - set(ids) - self.deleted - self.uncertain
        assert not missing, f"acknowledged and lost: {missing}"
        sources = [item.source for item in listed]
        assert len(sources) == len(set(sources))


def everything(gallery: Gallery) -> list[Item]:
    found: list[Item] = []
    after = None
    while True:
        page = gallery.list(after, 1000)
        found += page.items
        after = page.next_cursor
        if after is None:
            return found


def check_equals_exact_rebuild(folder: Path, gallery: Gallery) -> None:
    """In every space, a search for everything finds what is stored there, once, with exact similarities."""
    for status in gallery.spaces.status():
        with open_read_only(folder) as truth, truth.read() as connection:
            keys, matrix = rows.stream(connection, status.space.space_id, DIM, -1, 1_000_000)
            known = rows.get_many(connection, keys.tolist())
        assert len(known) == len(keys) == status.items
        if status.space.state == "active":
            assert status.lacking == 0
        if known:
            check_search(gallery, status.space.space_id, [known[key].id for key in keys.tolist()], matrix)


def check_search(gallery: Gallery, space_id: str, ids: list[str], matrix: np.ndarray) -> None:
    for subject in range(5):
        query = embedding(subject, 77_000 + subject)
        hits = gallery.search(query, len(ids), space_id=space_id)[0]
        assert sorted(hit.item.id for hit in hits) == sorted(ids)
        np.testing.assert_allclose([h.similarity for h in hits], np.sort(matrix @ query)[::-1], atol=2e-6)


def kill_again_and_again(folder: Path, kills: int) -> Acknowledged:
    moments = random.Random(20)
    heard = Acknowledged()
    for kill in range(kills):
        heard.hear(run_and_kill(folder, 1 + kill * 100_000, moments))
        if kill % 5 == kills % 5 or kill == kills - 1:
            with open_active(folder) as gallery:
                heard.check(gallery)
                check_equals_exact_rebuild(folder, gallery)
    assert len(heard.enrolled) > 5 * kills
    assert heard.deleted
    assert heard.promoted["filled"]
    return heard


def test_killed_process_loses_nothing_acknowledged(folder: Path):
    kill_again_and_again(folder, 5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_nothing_acknowledged(folder: Path):
    heard = kill_again_and_again(folder, 100)
    assert min(heard.promoted[step] for step in ("filled", "activated", "rolled back", "retired")) > 0
