"""Views of a gallery over HTTP: persons instead of ears, ears that were enrolled twice, how the index is kept."""

import pytest

from tests.serve.conftest import enrol, png


@pytest.fixture
def filled(client):
    """Two ears of anna's, one of ben's, one of nobody's."""
    labelled = ((1, "anna"), (2, "anna"), (3, "ben"), (4, None))
    items = [enrol(client, seed, side="left", **({"subject": name} if name else {})) for seed, name in labelled]
    return client, items


def search(client, seed, **query):
    answer = client.post("/v1/search", content=png(seed), params={"side": "left", "group": "subject", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_person_is_found_once_with_their_nearest_ears(filled):
    client, items = filled
    found = search(client, 2, per_subject=5)["subjects"]
    assert [one["subject"] for one in found].count("anna") == 1
    assert (found[0]["subject"], found[0]["rank"]) == ("anna", 1)
    assert [hit["item_id"] for hit in found[0]["hits"]][0] == items[1]["id"]
    assert {hit["item_id"] for hit in found[0]["hits"]} == {items[0]["id"], items[1]["id"]}
    assert [one["subject"] for one in found if one["subject"] is None] == [None]
    assert len(found) == 3
    assert [one["similarity"] for one in found] == sorted((one["similarity"] for one in found), reverse=True)


def test_persons_are_limited_by_number_and_similarity(filled):
    client, _ = filled
    assert len(search(client, 2, k=2)["subjects"]) == 2
    assert all(len(one["hits"]) == 1 for one in search(client, 2)["subjects"])
    assert [one["subject"] for one in search(client, 2, threshold=0.9999)["subjects"]] == ["anna"]


def test_a_query_of_unknown_side_meets_both_orientations(filled):
    client, items = filled
    enrol(client, 2, subject="anna", side="right")
    found = search(client, 2, side="unknown", per_subject=5)["subjects"]
    assert found[0]["subject"] == "anna"
    assert len(found[0]["hits"]) == 3


def test_a_vector_finds_persons_too(filled):
    client, _ = filled
    told = client.post("/v1/embed", content=png(3), params={"side": "left"}).json()
    query = {"embedding": told["embedding"], "space_id": told["space_id"], "group": "subject", "k": 1}
    assert client.post("/v1/search", json=query).json()["subjects"][0]["subject"] == "ben"
    assert client.post("/v1/search", json={**query, "group": "tag"}).status_code == 400


def test_an_ear_that_was_enrolled_twice_is_told_once(filled):
    client, items = filled
    again = enrol(client, 3, side="left")
    told = client.get("/v1/gallery/duplicates", params={"threshold": 0.9999}).json()
    (pair,) = told["pairs"]
    assert (pair["earlier"]["id"], pair["later"]["id"]) == (items[2]["id"], again["id"])
    assert pair["same_picture"]
    assert (told["looked_at"], told["next_cursor"]) == (5, None)


def test_duplicates_are_looked_for_part_by_part(filled):
    client, _ = filled
    enrol(client, 3, side="left")
    pairs, cursor = [], None
    while True:
        params = {"limit": 2, "threshold": 0.9999, **({"cursor": cursor} if cursor else {})}
        told = client.get("/v1/gallery/duplicates", params=params).json()
        pairs += told["pairs"]
        if (cursor := told["next_cursor"]) is None:
            break
    assert len(pairs) == 1


def test_models_tell_how_their_vectors_are_kept(filled):
    client, _ = filled
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["gallery_items"], model["index"]["kind"], model["index"]["backlog"]) == (4, "exact", 4)
    assert model["recall"] is None
    report = client.app.state.service.active.gallery_pool.gallery.spaces.measure_recall(sample=4)
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["recall"]["recall"], model["recall"]["depth"]) == (report.recall, 10)
