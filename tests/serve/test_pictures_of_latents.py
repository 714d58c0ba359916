"""/v1/decode, /v1/explain and the quality of a picture."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from serve.inference.eigenears import Eigenears
from serve.inference.explanation import explain, morph
from serve.inference.quality import ear_likeness, redrawing_db, reference_of, sharpness
from serve.inference.verification import best_pair, compared
from serve.routes.explain import _drawn
from tests.serve.conftest import ear, encoded, enrol, png

JSON = {"Accept": "application/json"}


def picture(data):
    if isinstance(data, str):
        data = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def latent(client, seed, side="left"):
    return client.post(f"/v1/embed?include=mu&side={side}", content=png(seed)).json()["mu"]


def test_a_latent_is_drawn_as_its_reconstruction(client):
    drawn = client.post("/v1/decode", json={"latent": latent(client, 1)})
    assert drawn.headers["content-type"] == "image/png"
    again = client.post("/v1/reconstruct?side=left", content=png(1))
    np.testing.assert_array_equal(picture(drawn.content), picture(again.content))


def test_several_latents_are_a_strip_or_a_list(client):
    body = {"latents": [latent(client, 1), latent(client, 2)]}
    assert picture(client.post("/v1/decode", json=body).content).shape == (128, 256, 3)
    images = client.post("/v1/decode", json=body, headers=JSON).json()["images"]
    assert [picture(image).shape for image in images] == [(128, 128, 3)] * 2


def test_a_right_ear_is_drawn_as_a_right_ear(client):
    mu = latent(client, 1, "right")
    right = picture(client.post("/v1/decode", json={"latent": mu, "side": "right"}).content)
    left = picture(client.post("/v1/decode", json={"latent": mu}).content)
    np.testing.assert_array_equal(right, left[:, ::-1])


def test_eigenears_move_the_mean_ear(client):
    mean = picture(client.post("/v1/decode", json={"eigenears": []}).content)
    moved = picture(client.post("/v1/decode", json={"eigenears": [0, 2.5]}).content)
    assert mean.shape == moved.shape == (128, 128, 3)
    assert np.abs(mean.astype(int) - moved).max() > 5


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"latent": [1.0] * 1024, "eigenears": []},
        {"latent": [1.0] * 7},
        {"latents": []},
        {"latents": [[1.0] * 1024] * 65},
        {"eigenears": [0.0] * 17},
        {"eigenears": [99.0]},
        {"eigenears": [1e300]},
        {"latent": [1e300] * 1024},
        {"latent": [1.0] + [0.0] * 1023},
        {"latent": ["x"]},
        {"latent": [1.0] * 1024, "colour": "red"},
    ],
)
def test_what_cannot_be_drawn_is_refused(client, body):
    answer = client.post("/v1/decode", json=body)
    assert answer.status_code == 400, answer.text


def test_an_embedding_is_refused_with_a_hint(client):
    embedding = client.post("/v1/embed", content=png(1)).json()["embedding"]
    answer = client.post("/v1/decode", json={"latent": embedding})
    assert "`mu`" in answer.json()["error"]["message"]


def test_a_foreign_latent_is_a_conflict(client):
    assert client.post("/v1/decode", json={"latent": latent(client, 1), "space_id": "sp_x"}).status_code == 409


def test_a_match_is_explained(client):
    item = enrol(client, 1, side="left", subject="anna")
    answer = client.post(f"/v1/explain?item={item['id']}&side=left&steps=5", content=png(2))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["item"]["subject"] == "anna"
    assert len(body["morph"]) == 5
    assert picture(body["difference"]).shape == (128, 128, 3)
    own = picture(client.post("/v1/reconstruct?side=left", content=png(2)).content)
    np.testing.assert_array_equal(picture(body["query_image"]), own)
    for one in body["agree"]:
        assert one["query"] * one["item"] > 0
    assert len(body["agree"]) + len(body["differ"]) > 0


def test_the_difference_grows_with_the_gap_up_to_white():
    first = np.zeros((8, 150, 3), np.uint8)
    last = np.broadcast_to(np.arange(150, dtype=np.uint8)[:, None], first.shape)
    row = picture(_drawn([first, last])["difference"])[0, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()  # 149 * 255 is more than 16 bits hold
    assert (row[0], row[-1]) == (0, 255)


def test_an_explanation_turns_a_query_the_way_the_item_lies(client):
    item = enrol(client, 1, side="right")
    body = client.post(f"/v1/explain?item={item['id']}", content=png(1)).json()
    assert body["query_mirrored"] is True
    assert body["similarity"] > 0.999


def test_an_item_that_is_not_there_is_404(client):
    assert client.post("/v1/explain?item=nothing", content=png(1)).status_code == 404


def test_quality_tells_blurred_from_sharp(client):
    sharp = client.post("/v1/embed?include=quality", content=png(1)).json()["quality"]
    flat = client.post("/v1/embed?include=quality", content=encoded(np.full((90, 90, 3), 99, np.uint8))).json()[
        "quality"
    ]
    assert flat["blurred"]
    assert flat["sharpness"] < sharp["sharpness"]
    assert set(sharp) == {"psnr_db", "ssim", "sharpness", "ear_likeness", "ear_likeness_from", "blurred"}


def test_what_is_redrawn_worse_than_golden_crops_is_less_of_an_ear():
    crops = np.stack([ear(seed, size=(64, 64)) for seed in range(4)])
    noise = np.random.default_rng(0).normal(0, 4, crops.shape)
    reference = reference_of(crops, np.clip(crops + noise, 0, 255).astype(np.uint8))
    good = ear_likeness(crops[0], np.clip(crops[0] + noise[1], 0, 255).astype(np.uint8), reference)
    bad = ear_likeness(crops[0], crops[1], reference)
    assert good > 0.9
    assert bad < 0.1
    flat = np.full_like(crops[0], 100)
    assert redrawing_db(flat, flat) == 0.0
    assert sharpness(flat) == 0.0


def components(count=4, dim=8):
    return Eigenears(
        np.ones(dim, np.float32),
        np.eye(count, dim, dtype=np.float32),
        np.array([4.0, 2.0, 1.0, 0.5], np.float32)[:count],
        np.array([0.5, 0.2, 0.1, 0.05], np.float32)[:count],
    )


def test_coefficients_and_latents_are_each_others_inverse():
    eigenears = components()
    np.testing.assert_allclose(eigenears.coefficients(eigenears.latent([1, -2, 0.5])), [1, -2, 0.5, 0], atol=1e-6)
    assert eigenears.share_outside(eigenears.latent([1, 2])) == pytest.approx(0.0, abs=1e-6)
    assert eigenears.share_outside(np.ones(8, np.float32) + np.eye(8, dtype=np.float32)[7]) == pytest.approx(1.0)


def test_an_explanation_names_what_is_shared_and_what_is_not():
    eigenears = components()
    told = explain(eigenears, eigenears.latent([2, 2, 0, 0]), eigenears.latent([2.1, -2, 0.1, 0]))
    assert [one.index for one in told.agree] == [0]
    assert [one.index for one in told.differ] == [1]


def test_a_morph_begins_and_ends_with_its_ears():
    a, b = np.zeros(4, np.float32), np.ones(4, np.float32)
    way = morph(a, b, 5)
    np.testing.assert_allclose(np.stack(way)[:, 0], [0, 0.25, 0.5, 0.75, 1])


def test_pairs_are_compared_in_no_more_orientations_than_tell_something():
    assert compared("left", "right") == ((False,), (True,))
    assert compared("unknown", "left") == ((False, True), (False,))
    assert compared("unknown", "unknown") == ((False,), (False, True))
    vectors = [np.array([1, 0], np.float32), np.array([0, 1], np.float32)]
    assert best_pair(vectors[:1], vectors) == (1.0, 0, 0)
    assert best_pair(vectors, vectors[1:]) == (1.0, 1, 0)
