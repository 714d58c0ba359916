"""Principal components, and the calibration that a bundle gets or does not get."""

import numpy as np
import pytest

from export.config import ExportConfig
from export.crops import Crops
from export.latents import DROPPED, latent_statistics, principal_components, write_eigenears
from export.parity.reference import make_reference


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


SENTENCE = "None of the 10 people were trained on."
SAVED = {"slope": 1.0, "intercept": 0.0, "points": [], "genuine_pairs": 3, "impostor_pairs": 4}


@pytest.fixture
def statistics(exported, vae, crops, identities, tmp_path):
    """The statistics of an export of crops, of held-out people or not, from a checkpoint with these metrics."""
    (tmp_path / "encoder.onnx").symlink_to(exported / "encoder.onnx")

    def made(metrics, held_out):
        compared = Crops(crops, tuple(identities), exposure=SENTENCE, held_out=held_out)
        reference = make_reference(vae, compared, ExportConfig(parity_crops=40))
        return latent_statistics(tmp_path, compared, reference, metrics)

    return made


def test_crops_of_people_that_may_have_been_trained_on_give_no_calibration(statistics):
    assert statistics({}, held_out=False) == (None, None)
    calibration, on = statistics({}, held_out=True)
    assert calibration["genuine_pairs"] > 0
    assert on == {"pictures": 40, "subjects": 10, "trained_on": SENTENCE}


def test_saved_calibration_that_does_not_say_of_whom_it_is_does_not_reach_the_bundle(statistics, caplog):
    assert statistics({"calibration": SAVED}, held_out=False) == (None, None)
    assert DROPPED in caplog.text
    assert statistics({"calibration": SAVED}, held_out=True).calibration != SAVED
    on = {"pictures": 8, "subjects": 2, "trained_on": "None of the 2 people were trained on."}
    assert statistics({"calibration": SAVED, "calibrated_on": on}, held_out=False) == (SAVED, on)
