"""Sixteen clients search and enrol all through a promotion: none fails, and each answer is exact in its own space."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bench.promotion_load import Clients, Exact, enrol_fixed, promote_under_load
from serve.settings import Settings
from tests.serve.conftest import live_server, png
from tests.serve.tiny_bundle import write_tiny_bundle


@pytest.fixture
def bundles(tmp_path: Path) -> list[Path]:
    """Two spaces in which other ears are near."""
    for seed in (1, 3):
        write_tiny_bundle(tmp_path / f"seed{seed}", seed=seed, warp=1.0)
    return [tmp_path / "seed1", tmp_path / "seed3"]


@pytest.mark.soak
def test_no_client_fails_and_every_answer_is_exact_in_the_space_it_names(bundles: list[Path], tmp_path: Path):
    pictures = [png(seed) for seed in range(24)]
    exact = Exact(bundles, pictures)
    spaces = list(exact.cosines)
    settings = Settings(bundle=bundles[0], gallery=tmp_path / "gallery", threads=1, promotion_share=0.2)
    with live_server(settings) as address:
        enrol_fixed(address, pictures, exact)
        clients = Clients(address, pictures, exact, count=16)
        try:
            promote_under_load(address, bundles[1], clients, seconds=1.5)
        finally:
            heard = clients.stop()
        total = httpx.get(f"{address}/v1/gallery/items", params={"limit": 1}).json()["total"]
    assert heard.failures == []
    assert heard.wrong == []
    assert total == len(pictures) + len(heard.enrolled)
    answered = {phase: {space for one, space, _ in heard.searches if one == phase} for phase, _, _ in heard.searches}
    assert answered["before"] == {spaces[0]}
    assert spaces[1] in answered["activated"]
    assert {row["phase"] for row in heard.phases()} == {
        *("before", "staging", "staged", "activated", "rolled back", "activated again")
    }


def test_a_wrong_answer_is_seen(bundles: list[Path]):
    """The check can fail: another order, another similarity, too few hits."""
    pictures = [png(seed) for seed in range(8)]
    exact = Exact(bundles, pictures)
    exact.ids = [f"ear_{n}" for n in range(8)]
    for space, cosines in exact.cosines.items():
        best = (-cosines[0]).argsort()[:5].tolist()
        hits = [{"item_id": f"ear_{n}", "similarity": float(cosines[0][n])} for n in best]
        assert exact.agrees(0, {"space_id": space, "hits": hits})
        assert not exact.agrees(0, {"space_id": space, "hits": hits[:-1]})
        worst = int(cosines[0].argmin())
        wrong = [*hits[:-1], {"item_id": f"ear_{worst}", "similarity": float(cosines[0][worst])}]
        assert not exact.agrees(0, {"space_id": space, "hits": wrong})


def test_the_two_spaces_answer_differently(bundles: list[Path]):
    """Where they did not, the test under load would show nothing."""
    a, b = Exact(bundles, [png(seed) for seed in range(24)]).cosines.values()
    assert abs(a - b).max() > 0.1
    assert (a.argsort(axis=1)[:, -5:] != b.argsort(axis=1)[:, -5:]).any(axis=1).mean() > 0.5
