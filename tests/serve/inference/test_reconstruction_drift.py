"""GET /v1/gallery/drift: what came in lately beside what was there, with the model's own view of the pictures."""

import numpy as np
import pytest

from index.drift import NOTHING
from index.items import NewItem
from serve.inference.reconstruction_drift import advice
from tests.serve.conftest import enrol, png


@pytest.fixture
def filled(client):
    """A gallery of 60 ears whose vectors are random, and one that was really enrolled."""
    gallery = client.app.state.service.active.gallery_pool.gallery
    random = np.random.default_rng(0)
    dim = client.app.state.service.active.engine.model.latent_dim
    vectors = random.normal(size=(60, dim)).astype(np.float32)
    gallery.enrol([NewItem(png(n % 4), one, one, subject=f"s{n}", side="left") for n, one in enumerate(vectors)])
    enrol(client, 3, subject="anna", side="right")
    return client


def test_drift_is_told_with_the_quality_of_both_parts(filled):
    told = filled.get("/v1/gallery/drift", params={"recent": 30, "redraw": 5}).json()
    assert (told["items"], told["recent"], told["earlier"]) == (61, 30, 30)
    assert told["space_id"] == filled.get("/health/live").headers["X-Ear-Space-Id"]
    for part in ("recent", "earlier"):
        assert told["quality"][part]["pictures"] == 5
        assert np.isfinite(told["quality"][part]["psnr_db"])
    assert told["advice"]


def test_without_redrawing_only_the_vectors_speak(filled):
    told = filled.get("/v1/gallery/drift", params={"recent": 30, "redraw": 0}).json()
    assert told["quality"] == {"recent": None, "earlier": None}


def test_few_ears_say_so(client):
    enrol(client, 1, side="left")
    told = client.get("/v1/gallery/drift").json()
    assert "Too few" in told["advice"][0]
    assert NOTHING not in told["advice"]


def test_a_damaged_picture_does_not_hide_the_others(filled):
    gallery = filled.app.state.service.active.gallery_pool.gallery
    vector = np.ones(filled.app.state.service.active.engine.model.latent_dim, np.float32)
    gallery.enrol([NewItem(b"no picture", vector, vector)])
    told = filled.get("/v1/gallery/drift", params={"recent": 30, "redraw": 5}).json()
    assert told["quality"]["recent"]["pictures"] == 4


def test_another_space_is_refused(client):
    assert client.get("/v1/gallery/drift", params={"space_id": "sp_x"}).status_code == 409


def quality(psnr_db=25.0, blurred_share=0.0, ear_likeness=0.9):
    return {"psnr_db": psnr_db, "blurred_share": blurred_share, "ear_likeness": ear_likeness}


def test_advice_follows_from_the_quality():
    assert advice(quality(), quality()) == []
    assert advice(None, quality()) == []
    assert "2.0 dB worse" in advice(quality(psnr_db=23.0), quality())[0]
    assert "camera" in advice(quality(blurred_share=0.5), quality())[0]
    assert "do not look like ears" in advice(quality(ear_likeness=0.1), quality())[0]
