"""Similarities of vectors less the gallery's mean: on request, or where the gallery's calibration is of such ones."""

import numpy as np
import pytest

from index.vectors import centred
from tests.serve.conftest import png
from tests.serve.test_verify import fill, noisy_png, verify


def search(client, data, **query):
    answer = client.post("/v1/search", content=data, params={"side": "left", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def expected(client, data, k):
    """(subject, similarity) of the nearest ears, by the arithmetic itself."""
    gallery = client.app.state.service.models.gallery
    items = gallery.list(limit=1000).items
    vectors = np.stack([gallery.vectors(item.id).embedding for item in items])
    query = np.array(client.post("/v1/embed?side=left", content=data).json()["embedding"], np.float32)
    mean = vectors.mean(axis=0)
    cosines = centred(vectors, mean) @ centred(query, mean)
    return [(items[n].subject, cosines[n]) for n in np.argsort(-cosines)[:k]]


def test_a_centred_search_gives_the_cosines_of_centred_vectors(client):
    fill(client.app)
    query = noisy_png(3, 2)
    plain, answer = search(client, query, k=7), search(client, query, k=7, centred=True)
    assert (plain["centred"], answer["centred"]) == (False, True)
    shown = [(hit["subject"], hit["similarity"]) for hit in answer["hits"]]
    for (subject, similarity), (other, exact) in zip(shown, expected(client, query, 7), strict=True):
        assert subject == other
        assert similarity == pytest.approx(exact, abs=1e-4)
    assert plain["hits"][0]["similarity"] != answer["hits"][0]["similarity"]
    grouped = search(client, query, k=3, centred=True, group="subject", per_subject=2)["subjects"]
    assert [one["subject"] for one in grouped] == list(dict.fromkeys(subject for subject, _ in shown))[:3]
    assert [len(one["hits"]) for one in grouped] == [2, 2, 2]
    least = shown[2][1]
    assert len(search(client, query, k=7, centred=True, threshold=least - 1e-3)["hits"]) == 3
    vector = client.post("/v1/embed?side=left", content=query).json()
    body = {"embedding": vector["embedding"], "space_id": vector["space_id"], "side": "left", "centred": True}
    ready = client.post("/v1/search", json=body).json()
    assert ready["hits"][0]["similarity"] == pytest.approx(shown[0][1], abs=1e-4)


def test_too_few_ears_are_a_conflict(client):
    fill(client.app, 3)
    for answer in (
        client.post("/v1/search?centred=true", content=png(1)),
        client.post("/v1/verify?centred=true", files={"a": png(1), "b": png(1)}),
    ):
        assert answer.status_code == 409
        assert "of 6 ears and at least 20 are needed" in answer.json()["error"]["message"]


def test_a_centred_calibration_centres_searches_too_and_judges_centred_similarities_alone(client):
    fill(client.app)
    client.post("/v1/calibrations", json={"centred": True})
    assert search(client, png(1))["centred"] is True
    assert search(client, png(1), centred=False)["centred"] is False
    both = [verify(client, png(1), png(2), side_a="left", side_b="left", **query) for query in ({}, {"centred": False})]
    assert [one["centred"] for one in both] == [True, False]
    assert both[0]["same"] is False
    assert both[1]["same"] is both[1]["probability"] is None
    assert "there is no calibration of such similarities" in both[1]["reason"]


def test_the_mean_follows_the_gallery(client):
    fill(client.app)
    gallery = client.app.state.service.models.gallery
    before = gallery.recent_mean()
    fill(client.app, 1)
    assert gallery.recent_mean().items == before.items
    fill(client.app, 3)
    assert gallery.recent_mean().items == gallery.count()
