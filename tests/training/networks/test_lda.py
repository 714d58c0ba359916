"""The identity head in closed form."""

import numpy as np
import pytest

from measure.protocol import evaluate
from training.errors import DataError
from training.networks.lda import fit_lda


def _latents(seed, subjects=30, pictures=6, dim=12):
    """Identity lives in two dimensions; the others vary three times as much, by chance."""
    rng = np.random.default_rng(seed)
    identity = rng.normal(0, 1, (subjects, 2)).repeat(pictures, 0)
    chance = rng.normal(0, 3, (subjects * pictures, dim - 2))
    latents = (
        np.c_[identity + rng.normal(0, 0.1, identity.shape), chance] @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    )
    return latents, np.arange(subjects).repeat(pictures)


def test_fitted_head_finds_people_that_the_cosine_does_not():
    latents, labels = _latents(0, subjects=60)
    known, new = labels < 30, labels >= 30
    weights = fit_lda(latents[known], labels[known])
    before = evaluate(latents[new], labels[new].tolist())
    after = evaluate((latents[new] - latents[known].mean(0)) @ weights.T, labels[new].tolist())
    assert after.rank1 > before.rank1 + 0.3
    assert after.eer < 0.15 < before.eer


def test_fit_finds_the_direction_fisher_did():
    """Two classes: W's first row is the solution of the scatter matrix for the difference of the means."""
    rng = np.random.default_rng(1)
    scatter = np.array([[2.0, 1.2], [1.2, 1.0]])
    noise = rng.multivariate_normal([0, 0], scatter, 4000)
    labels = np.arange(4000) % 2
    latents = noise + np.where(labels[:, None] == 0, [1.0, 0.0], [-1.0, 0.0])
    found = fit_lda(latents, labels)[0]
    wanted = np.linalg.solve(scatter, [1.0, 0.0])
    cosine = abs(found @ wanted) / np.linalg.norm(found) / np.linalg.norm(wanted)
    assert cosine > 0.99


def test_fit_works_with_fewer_pictures_than_dimensions():
    latents, labels = _latents(2, subjects=5, pictures=3, dim=40)
    weights = fit_lda(latents, labels)
    assert weights.shape == (40, 40)
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 2]])
def test_labels_that_say_too_little_are_refused(labels):
    with pytest.raises(DataError, match="at least two subjects"):
        fit_lda(np.random.default_rng(0).normal(size=(4, 3)), np.array(labels))
