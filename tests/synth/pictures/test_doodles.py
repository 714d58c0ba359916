"""Drawn negatives."""

from __future__ import annotations

import numpy as np
import pytest

from synth.pictures.doodles import DOODLES


@pytest.mark.parametrize("name", list(DOODLES))
def test_a_doodle_has_its_size_and_is_not_flat(name: str) -> None:
    image = DOODLES[name](np.random.default_rng(1), 60, 80)
    assert image.shape == (60, 80, 3)
    assert np.isfinite(image).all()
    assert image.min() >= -1e-9
    assert image.std() > 1e-3


@pytest.mark.parametrize("name", list(DOODLES))
def test_a_doodle_is_a_function_of_the_generator(name: str) -> None:
    one, again, other = (DOODLES[name](np.random.default_rng(k), 60, 80) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
