"""The service as a whole: every route of the first chain, over a tiny real bundle and a real gallery."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.serve.conftest import ear, encoded, enrol, mirrored_png, png


def vector(answer):
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["embedding"])


def test_embed_gives_a_unit_vector_with_ids_and_timing(client):
    answer = client.post("/v1/embed", content=png())
    body = answer.json()
    assert np.linalg.norm(body["embedding"]) == pytest.approx(1.0, abs=1e-5)
    assert len(body["embedding"]) == 1024
    assert body["side"] == "unknown"
    assert body["space_id"] == answer.headers["X-Ear-Space-Id"]
    assert body["bundle_id"] == answer.headers["X-Ear-Bundle-Id"]
    assert set(body["timing_ms"]) == {"decode", "queue", "compute", "total"}
    assert body["timing_ms"]["total"] >= body["timing_ms"]["compute"] > 0
    assert "mu" not in body


def test_embed_takes_a_form_as_well_as_raw_bytes(client):
    raw = client.post("/v1/embed", content=png())
    form = client.post("/v1/embed", files={"file": ("ear.png", png())})
    assert vector(raw).tolist() == vector(form).tolist()


def test_embed_gives_mu_on_request(client):
    body = client.post("/v1/embed?include=mu", content=png()).json()
    mu = np.array(body["mu"])
    np.testing.assert_allclose(mu / np.linalg.norm(mu), body["embedding"], atol=1e-5)


def test_a_right_ear_is_embedded_as_the_left_ear_that_mirrors_it(client):
    right = vector(client.post("/v1/embed?side=right", content=png(3)))
    left = vector(client.post("/v1/embed?side=left", content=mirrored_png(3)))
    as_posted = vector(client.post("/v1/embed?side=unknown", content=png(3)))
    assert right @ left > 0.9999
    assert right @ as_posted < 0.99


def test_a_box_frames_the_ear(client):
    canvas = np.full((400, 500, 3), 90, np.uint8)
    canvas[100:292, 200:360] = ear(4)
    boxed = vector(client.post("/v1/embed?box=200,100,360,292", content=encoded(canvas)))
    alone = vector(client.post("/v1/embed", content=png(4)))
    whole = vector(client.post("/v1/embed", content=encoded(canvas)))
    assert boxed @ alone > whole @ alone


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("side=up", "side"),
        ("box=1,2,3", "box"),
        ("box=a,b,c,d", "box"),
        ("box=nan,0,5,5", "box"),
        ("include=secrets", "include"),
    ],
)
def test_a_wrong_parameter_is_named(client, query, param):
    answer = client.post(f"/v1/embed?{query}", content=png())
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_a_box_outside_the_picture_is_refused(client):
    answer = client.post("/v1/embed?box=5000,5000,6000,6000", content=png())
    assert answer.status_code == 400
    assert "outside" in answer.json()["error"]["message"]


def test_reconstruct_answers_a_png_the_way_it_was_posted(client):
    picture = np.full((128, 128, 3), 60, np.uint8)
    picture[:, :48] = 200  # light on the left
    for side in ("left", "right", "unknown"):
        answer = client.post(f"/v1/reconstruct?side={side}", content=encoded(picture))
        assert answer.headers["content-type"] == "image/png"
        image = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert image.shape == (128, 128, 3)
        assert image[:, :32].mean() > 190
        assert image[:, 96:].mean() < 70


def test_reconstruct_answers_json_with_its_figures(client):
    body = client.post("/v1/reconstruct?side=right", content=png(), headers={"Accept": "application/json"}).json()
    assert body["psnr_db"] > 20
    assert 0 < body["ssim"] <= 1
    for name in ("image", "input"):
        head, data = body[name].split(",")
        assert head == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (128, 128)


def test_an_enrolled_ear_is_found_first(client):
    for seed in range(5):
        enrol(client, seed, subject=f"person-{seed}", side="left")
    body = client.post("/v1/search?side=left&k=3", content=png(2)).json()
    assert [hit["rank"] for hit in body["hits"]] == [1, 2, 3]
    best = body["hits"][0]
    assert (best["subject"], best["side"]) == ("person-2", "left")
    assert best["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert body["searched"] == 5
    assert set(body["timing_ms"]) == {"decode", "queue", "compute", "index", "total"}
    assert client.get(best["image_url"]).status_code == 200


def test_a_search_with_a_vector_equals_the_search_with_its_picture(client):
    for seed in range(4):
        enrol(client, seed, side="left")
    embedded = client.post("/v1/embed?side=left", content=png(1)).json()
    ready = {"embedding": embedded["embedding"], "space_id": embedded["space_id"], "k": 4}
    by_vector = client.post("/v1/search", json=ready).json()["hits"]
    by_picture = client.post("/v1/search?side=left&k=4", content=png(1)).json()["hits"]
    assert [hit["item_id"] for hit in by_vector] == [hit["item_id"] for hit in by_picture]


def test_several_vectors_are_searched_for_at_once_and_each_is_answered_by_itself(client):
    for seed in range(4):
        enrol(client, seed, side="left", subject=f"s{seed % 2}")
    embedded = [client.post("/v1/embed?side=left", content=png(seed)).json() for seed in (2, 0, 1)]
    ready = {"space_id": embedded[0]["space_id"], "k": 3, "side": "left", "threshold": 0.1}
    gallery = client.app.state.service.active.gallery_pool.gallery
    asked, real = [], gallery.search

    def counted(embeddings, *args):
        asked.append(embeddings.shape)
        return real(embeddings, *args)

    gallery.search = counted
    together = client.post("/v1/search", json={**ready, "embeddings": [one["embedding"] for one in embedded]}).json()
    assert asked == [(3, 1024)]
    for group, name in (("item", "hits"), ("subject", "subjects")):
        ready["group"] = group
        many = client.post("/v1/search", json={**ready, "embeddings": [one["embedding"] for one in embedded]}).json()
        alone = [client.post("/v1/search", json={**ready, "embedding": one["embedding"]}).json() for one in embedded]
        assert [one[name] for one in many["results"]] == [one[name] for one in alone], group
        assert all(one[name] for one in alone)
    assert [one["hits"][0]["subject"] for one in together["results"]] == ["s0", "s0", "s1"]
    assert {"searched", "space_id", "bundle_id", "timing_ms"} < set(together)


def test_persons_below_the_threshold_are_left_out_of_a_search_with_a_vector(client):
    for seed in range(2):
        enrol(client, seed, side="left", subject=f"s{seed}")
    embedded = client.post("/v1/embed?side=left", content=png(0)).json()
    asked = {"embeddings": [embedded["embedding"]], "space_id": embedded["space_id"], "group": "subject"}
    (near,) = client.post("/v1/search", json={**asked, "threshold": 0.99}).json()["results"]
    assert [person["subject"] for person in near["subjects"]] == ["s0"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"embeddings": []}, "embeddings"),
        ({"embeddings": [[1.0] * 1024] * 3}, "embeddings"),
        ({"embeddings": [[1.0] * 1024, [1.0] * 7]}, "embeddings"),
        ({"embeddings": [[1.0] * 1024], "embedding": [1.0] * 1024}, "embedding"),
        ({}, "file"),
    ],
)
def test_several_vectors_that_cannot_be_asked_about_are_refused(serve, change, param):
    with serve(max_inputs=2) as client:
        space = client.get("/v1/models").json()["data"][0]["space_id"]
        answer = client.post("/v1/search", json={"space_id": space, **change})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_a_foreign_vector_is_a_conflict_that_names_both_spaces(client):
    answer = client.post("/v1/search", json={"embedding": [1.0] * 1024, "space_id": "sp_of_another"})
    assert answer.status_code == 409
    assert "sp_of_another" in answer.json()["error"]["message"]
    assert answer.headers["X-Ear-Space-Id"] in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "change", [{"embedding": [1.0] * 3}, {"embedding": [0.0] * 1024}, {"k": 0}, {"side": "up"}, {"threshold": 7}]
)
def test_a_vector_query_that_cannot_be_asked_is_refused(client, change):
    space = client.get("/v1/models").json()["data"][0]["space_id"]
    answer = client.post("/v1/search", json={"embedding": [1.0] * 1024, "space_id": space, **change})
    assert answer.status_code == 400, answer.text


def test_a_right_ear_is_found_by_the_mirrored_left_picture_only_across_ears(client):
    enrol(client, 1, side="right", subject="anna")
    same = client.post("/v1/search?side=right", content=png(1)).json()["hits"]
    other = client.post("/v1/search?side=left", content=mirrored_png(1)).json()["hits"]
    across = client.post("/v1/search?side=left&cross_ear=true", content=mirrored_png(1)).json()["hits"]
    assert [hit["subject"] for hit in same] == ["anna"]
    assert other == []
    assert across[0]["similarity"] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_ear_of_unknown_side_is_found_from_either_side(client, side):
    enrol(client, 1, subject="anna")
    hits = client.post(f"/v1/search?side={side}", content=png(1)).json()["hits"]
    assert hits[0]["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert hits[0]["side"] == "unknown"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_query_of_unknown_side_finds_an_ear_of_either_side(client, side):
    enrol(client, 1, side=side)
    enrol(client, 2, side=side)
    hits = client.post("/v1/search", content=png(1)).json()["hits"]
    assert hits[0]["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert len(hits) == len({hit["item_id"] for hit in hits}) == 2


def test_search_filters_by_subject_tag_and_threshold(client):
    for seed, tag in enumerate(("a", "b", "a")):
        enrol(client, seed, subject=f"s{seed}", tags=tag, side="left")
    ask = "/v1/search?side=left"
    assert [h["subject"] for h in client.post(ask + "&subject=s1", content=png(0)).json()["hits"]] == ["s1"]
    assert {h["subject"] for h in client.post(ask + "&tag=a", content=png(0)).json()["hits"]} == {"s0", "s2"}
    assert [h["subject"] for h in client.post(ask + "&threshold=0.999", content=png(0)).json()["hits"]] == ["s0"]


def test_a_gallery_is_there_again_after_a_restart(serve):
    with serve() as first:
        item = enrol(first, 1, subject="anna", side="left")
    with serve() as second:
        hits = second.post("/v1/search?side=left", content=png(1)).json()["hits"]
        assert [hit["item_id"] for hit in hits] == [item["id"]]


def test_without_a_gallery_the_model_still_answers(serve):
    with serve(gallery=None) as client:
        assert client.post("/v1/embed", content=png()).status_code == 200
        answer = client.get("/v1/gallery/items")
        assert answer.status_code == 404
        assert "--gallery" in answer.json()["error"]["message"]


def test_models_tell_what_answers(client):
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["object"], model["state"], model["runtime"], model["latent_dim"]) == (
        "model",
        "active",
        "onnxruntime-cpu",
        1024,
    )
    assert client.get(f"/v1/models/{model['id']}").json() == model
    assert client.get("/v1/models/other").status_code == 404


def test_a_request_keeps_the_id_that_it_brought(client):
    assert client.get("/health/live", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    made = client.get("/health/live", headers={"X-Request-Id": "no good!"}).headers["X-Request-Id"]
    assert made != "no good!"
    answer = client.get("/nowhere", headers={"X-Request-Id": "abc-2"})
    assert answer.json()["error"]["request_id"] == "abc-2"
