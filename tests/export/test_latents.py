"""Principal components: orthonormal, ordered, and the same on every machine."""

import numpy as np
import pytest

from export.latents import principal_components, write_eigenears


@pytest.fixture
def latents():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(24, 24)))[0][:3]
    return (rng.normal(size=(200, 3)) * [9.0, 3.0, 1.0] @ axes + 5 + rng.normal(size=(200, 24)) * 0.01).astype(
        np.float32
    )


def test_components_are_orthonormal_and_ordered(latents):
    found = principal_components(latents)
    gram = found["components"] @ found["components"].T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
    assert (np.diff(found["explained_variance"]) <= 0).all()
    assert found["explained_variance_ratio"][:3].sum() == pytest.approx(1.0, abs=1e-3)


def test_variance_is_that_of_the_projections(latents):
    found = principal_components(latents)
    projections = (latents - found["mean"]) @ found["components"].T
    np.testing.assert_allclose(projections.var(axis=0, ddof=1), found["explained_variance"], rtol=1e-3, atol=1e-6)


def test_the_sign_does_not_depend_on_the_order_of_pictures(latents):
    first, second = principal_components(latents), principal_components(latents[::-1].copy())
    np.testing.assert_allclose(first["components"][:3], second["components"][:3], atol=1e-3)


@pytest.mark.parametrize(("count", "kept"), [(2, 1), (10, 9), (200, 24)])
def test_there_are_as_many_as_the_pictures_can_tell(latents, count, kept):
    assert principal_components(latents[:count])["components"].shape == (kept, 24)


def test_the_file_says_how_many_pictures_it_is_from(latents, tmp_path):
    with np.load(write_eigenears(tmp_path, latents), allow_pickle=False) as archive:
        assert int(archive["count"]) == 200
        assert archive["components"].dtype == np.float32
