"""The bench of the exported graph: all contenders run, agree, and stand beside the limit in one table."""

import numpy as np
import pytest

from bench.export_graph import EAGER, FUSED, HUGGING_FACE, STANDARD, contenders, make_vae, measure, table
from export.graph.wrappers import ENCODER_OUTPUTS
from tests.export.conftest import TINY


def test_the_table_shows_seconds_and_how_far_over_the_limit():
    row = {
        "preset": "teacher",
        "sam_size_px": 224,
        "batch": 1,
        "limit_s": 0.5,
        "seconds": {EAGER: 1.0, FUSED: 0.6},
        "over_limit": {EAGER: 2.0, FUSED: 1.2},
    }
    assert table([row]).splitlines()[-1] == "| teacher | 224 | 1 | 0.500 | 1.000 (2.00x) | 0.600 (1.20x) |"


@pytest.mark.slow
def test_all_contenders_compute_the_same(tmp_path):
    crops = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    found = contenders(make_vae(TINY), tmp_path, threads=1)
    assert set(found) == {EAGER, HUGGING_FACE, STANDARD, FUSED}
    wanted = [output.numpy() for output in found.pop(EAGER)(crops)]
    for run in found.values():
        for given, expected in zip(run(crops), wanted, strict=True):
            np.testing.assert_allclose(given, expected, atol=1e-4)
    assert len(wanted) == len(ENCODER_OUTPUTS)


@pytest.mark.slow
def test_one_run_gives_limit_times_and_profile():
    row = measure(TINY, batch=2, rounds=1, threads=1)
    assert row["limit_s"] > 0
    assert all(seconds > 0 for seconds in row["seconds"].values())
    assert row["profile"]["MultiHeadAttention"] > 0
    assert 0.5 < sum(row["profile"].values()) <= 1.001, "the eight kinds that take most"
    assert "| test | 64 | 2 |" in table([row])
