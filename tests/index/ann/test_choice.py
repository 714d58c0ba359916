"""The rule that chooses an index from size and memory, at its edges."""

from __future__ import annotations

import pytest

from index.ann.choice import choose
from index.ann.hnsw import HnswIndex
from index.config import GalleryConfig
from index.neighbours import Kind

GIB = 1 << 30
AUTO = GalleryConfig(exact_items=50_000, memory_bytes=2 * GIB)
GRAPH_FITS = 2 * GIB // HnswIndex.bytes_per_vector(1024)


@pytest.mark.parametrize(
    ("count", "present", "expected"),
    [
        (0, "exact", "exact"),
        (50_000, "exact", "exact"),
        (50_001, "exact", "hnsw"),
        (50_000, "hnsw", "hnsw"),
        (25_000, "hnsw", "exact"),
        (GRAPH_FITS, "hnsw", "hnsw"),
        (GRAPH_FITS + 1, "hnsw", "ivf"),
        (GRAPH_FITS, "ivf", "ivf"),
        (GRAPH_FITS // 2, "ivf", "hnsw"),
        (100_000_000, "exact", "ivf"),
    ],
)
def test_kind_follows_from_size_and_memory_and_does_not_swing(count: int, present: Kind, expected: Kind):
    assert choose(count, 1024, AUTO, present) == expected


@pytest.mark.parametrize("kind", ["exact", "hnsw", "ivf"])
def test_a_named_kind_is_kept_at_every_size(kind: Kind):
    assert {choose(count, 1024, GalleryConfig(neighbours=kind), "exact") for count in (1, 10**5, 10**8)} == {kind}


def test_the_default_budget_is_half_of_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("index.ann.choice.memory_bytes", lambda: 2 * HnswIndex.bytes_per_vector(1024) * 100_000)
    assert [choose(count, 1024, GalleryConfig(), "exact") for count in (99_000, 101_000)] == ["hnsw", "ivf"]


@pytest.mark.parametrize(
    "wrong",
    [{"neighbours": "magic"}, {"exact_items": 0}, {"threads": 0}, {"build_threads": -1}, {"memory_bytes": 0},
     {"recall_target": 1.0}, {"snapshot_changes": 0}, {"snapshot_s": 0}, {"reserve_bytes": -1}],
    ids=str,
)  # fmt: skip
def test_setting_without_meaning_is_refused_by_its_name(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GalleryConfig(**wrong)
