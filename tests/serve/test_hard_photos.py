"""Turned heads, many ears and small ones in photos, with the shipped bundle on the demo's rendered ears."""

import asyncio
import csv
import time
from pathlib import Path

import numpy as np
import pytest

from bundle.image import decode, read, turn
from bundle.model import load
from serve.errors import BadRequest
from serve.inference.decode_pool import DecodeLimits, DecodePool
from serve.inference.engine import Engine
from serve.inference.framed_ears import encoded_ears, framed_ears
from serve.observability.request_context import Trace
from serve.settings import Settings
from tests.serve.conftest import encoded

ROOT = Path(__file__).parents[2]
EARS = ROOT / "demo" / "ears"
SIDE = 144
"""Of a framed demo ear, pixels."""


@pytest.fixture(scope="module")
def ears():
    """20 framed ears of different people, (144, 144, 3) uint8 each, and their sides."""
    with open(EARS / "metadata.csv", newline="", encoding="utf-8") as file:
        rows = {row["subject"]: row for row in csv.DictReader(file) if row["occluded"] == "0"}
    return [(read(EARS / row["path"]), row["side"]) for row in list(rows.values())[:20]]


@pytest.fixture(scope="module")
def framed():
    """framed(picture, **how) -> the ears of a photo as calls get them, encoded."""
    folder = ROOT / "demo" / "bundle"
    engine = Engine(load(folder, runtime="onnxruntime-cpu"), Settings(bundle=folder, threads=1))
    pool = DecodePool(DecodeLimits(1, 64, 1 << 30, 1 << 30))

    async def seen(data, how):
        trace = Trace("r", time.monotonic() + 600)
        found = await framed_ears(pool, engine, trace, data, **{"detect": "all", **how})
        return found.ears, [one.embedding for one in await encoded_ears(engine, trace, found.ears)]

    yield lambda picture, **how: asyncio.run(seen(encoded(picture), how))
    engine.close()
    pool.close()


def test_ear_of_a_turned_head_is_what_it_is_upright(framed, ears):
    picture, side = ears[0]
    (upright,), (embedding,) = framed(picture)
    for turns in (1, 2, 3):
        (turned,), (again,) = framed(turn(picture, turns))
        assert turned.side == upright.side == side
        assert np.dot(again, embedding) > 0.98
        x1, y1, x2, y2 = turned.box
        for _ in range(turns):  # clockwise, back to upright
            x1, y1, x2, y2 = SIDE - y2, x1, SIDE - y1, x2
        np.testing.assert_allclose((x1, y1, x2, y2), upright.box, atol=4)


def test_ear_of_a_turned_head_is_kept_upright(framed, ears):
    (turned,), (embedding,) = framed(turn(ears[0][0], 2), keep=True)
    kept = decode(turned.stored.file)
    (_,), (again,) = framed(kept, detect=False, box=turned.stored.box, side=turned.side)
    assert np.dot(again, embedding) > 0.98


def test_every_ear_of_a_group_is_found_and_none_twice(framed, ears):
    rows = [np.concatenate([ear for ear, _ in ears[start : start + 5]], 1) for start in range(0, 20, 5)]
    found, _ = framed(np.concatenate(rows))
    centres = [(int((x1 + x2) / 2) // SIDE, int((y1 + y2) / 2) // SIDE) for x1, y1, x2, y2 in (e.box for e in found)]
    assert len(set(centres)) == len(centres) == 20


def test_small_ear_of_a_large_photo_is_found_in_tiles(framed, ears):
    photo = np.full((900, 2000, 3), 90, np.uint8)
    photo[700:748, 1100:1148] = ears[0][0][::3, ::3]
    with pytest.raises(BadRequest, match="no ear was found"):
        framed(photo)
    (one,), _ = framed(photo, tiles=True)
    x1, y1, x2, y2 = one.box
    assert 1100 < (x1 + x2) / 2 < 1148
    assert 700 < (y1 + y2) / 2 < 748


def test_tiles_without_detect_are_refused(client, ears):
    answer = client.post("/v1/embed?tiles=true", content=encoded(ears[0][0]))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tiles")
