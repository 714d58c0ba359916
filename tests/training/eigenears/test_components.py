"""Principal components against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from training.eigenears.components import STEPS, Eigenears
from training.errors import DataError


class _Echo:
    """Decodes a latent to a picture of one grey: its first entry."""

    def decode(self, mu):
        return np.broadcast_to(mu[:, :1, None, None] * 10 + 100, (len(mu), 4, 4, 3)).astype(np.uint8)


def _latents():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(60, 10)) * np.geomspace(4, 0.1, 10) + 3).astype(np.float32)


def test_components_equal_scikit_learn():
    mu = _latents()
    ears, reference = Eigenears.fit(mu, 4), PCA(4).fit(mu)
    np.testing.assert_allclose(ears.share, reference.explained_variance_ratio_, rtol=1e-4)
    np.testing.assert_allclose(np.abs(ears.axes @ reference.components_.T), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(ears.mean, reference.mean_, rtol=1e-5)


def test_scores_are_in_standard_deviations():
    scores = Eigenears.fit(_latents(), 5).scores(_latents())
    np.testing.assert_allclose(scores.std(0, ddof=1), 1, rtol=1e-4)
    np.testing.assert_allclose(scores.mean(0), 0, atol=1e-5)


def test_direction_does_not_depend_on_the_solver():
    ears = Eigenears.fit(_latents(), 5)
    assert (ears.axes[np.arange(5), np.abs(ears.axes).argmax(1)] > 0).all()


def test_fewer_pictures_give_fewer_components():
    assert len(Eigenears.fit(_latents()[:5], 16).axes) == 4
    with pytest.raises(DataError, match="at least 3 pictures"):
        Eigenears.fit(_latents()[:2], 16)


def test_strip_moves_the_mean_ear_along_the_axis():
    mu = np.zeros((50, 6), np.float32)
    mu[:, 0] = np.random.default_rng(0).normal(0, 2, 50)
    mu[:, 1:] = np.random.default_rng(1).normal(0, 0.01, (50, 5))
    ears = Eigenears.fit(mu, 2)
    strip = ears.strip(_Echo(), 0)  # type: ignore[arg-type]
    assert strip.shape == (4, 4 * len(STEPS), 3)
    greys = strip[0, ::4, 0].astype(int)
    expected = 100 + 10 * (ears.mean[0] + np.array(STEPS) * np.sqrt(ears.variance[0]))
    np.testing.assert_allclose(greys, expected, atol=1.5)
