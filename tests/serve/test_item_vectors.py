"""Stored vectors are read, put by id, and searched with; subjects are deleted whatever their names are."""

import base64

import numpy as np
import pytest

from client.client import EarTeacher
from client.errors import Missing, Refused, SpaceConflict
from tests.serve.conftest import encoded, enrol, mirrored_png, png


def hits(client, item, **params):
    answer = client.post("/v1/search", params={"item": item["id"], **params})
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def test_the_stored_vector_is_that_of_the_picture(client):
    item = enrol(client, 1, side="right", subject="anna")
    stored = client.get(f"/v1/gallery/items/{item['id']}/vectors").json()
    embedded = client.post("/v1/embed?side=right&include=mu", content=png(1)).json()
    np.testing.assert_allclose(stored["embedding"], embedded["embedding"], atol=1e-6)
    np.testing.assert_allclose(stored["mu"], embedded["mu"], atol=1e-6)
    assert (stored["side"], stored["space_id"], stored["id"]) == ("right", embedded["space_id"], item["id"])
    assert client.get("/v1/gallery/items/ear_no/vectors").status_code == 404
    assert client.get(f"/v1/gallery/items/{item['id']}/vectors?space_id=sp_no").status_code == 409


def test_a_stored_ear_finds_the_others_and_not_itself(client):
    items = [enrol(client, seed, side="left", subject=f"p{seed}") for seed in range(4)]
    found = hits(client, items[0], k=10)
    assert {hit["subject"] for hit in found} == {"p1", "p2", "p3"}
    params = {"side": "left", "exclude_subject": "p0", "k": 10}
    by_picture = client.post("/v1/search", content=png(0), params=params).json()["hits"]
    assert [hit["item_id"] for hit in found] == [hit["item_id"] for hit in by_picture]
    assert [hit["subject"] for hit in hits(client, items[0], subject=["p2", "p0"])] == ["p2"]
    grouped = client.post("/v1/search", json={"item": items[0]["id"], "group": "subject"}).json()
    assert [person["subject"] for person in grouped["subjects"]] == [hit["subject"] for hit in found]


def test_ears_of_unknown_side_are_found_the_other_way_round_too(client):
    unknown = enrol(client, 1)
    mirrored = enrol(client, 0, data=mirrored_png(1))
    right = enrol(client, 0, data=mirrored_png(1), side="right", on_duplicate="add")
    other = enrol(client, 5)
    best = hits(client, unknown, k=1)[0]
    assert best["item_id"] in (mirrored["id"], right["id"])
    assert best["similarity"] > 0.99
    assert other["id"] not in [hit["item_id"] for hit in hits(client, right, k=2)]


@pytest.mark.parametrize("beside", [{"side": "left"}, {"box": "1,1,9,9"}, {"detect": "true"}])
def test_a_search_with_a_stored_ear_takes_nothing_else_to_search_with(client, beside):
    item = enrol(client, 1)
    refused = client.post("/v1/search", params={"item": item["id"], **beside})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, next(iter(beside)))
    assert client.post("/v1/search", params={"item": item["id"]}, content=png(1)).status_code == 400
    assert client.post("/v1/search", params={"item": "ear_no"}).status_code == 404


@pytest.fixture
def ears(live):
    with EarTeacher(live) as ears:
        yield ears
        ears.delete_subject("put")


def test_an_ear_is_put_under_an_id_of_the_callers_and_again_in_its_place(ears):
    first = ears.put("lab:17", png(11), subject="put", side="left", tags=["a"])
    assert (first.id, first.subject, first.tags) == ("lab:17", "put", ["a"])
    again = ears.put("lab:17", png(12), subject="put", side="left")
    assert (again.id, again.tags, again.created) == ("lab:17", [], first.created)
    assert ears.items(subject=["put"]).total == 1
    hit = ears.search(png(12), side="left", subject=["put"], k=1).hits[0]
    assert (hit.item_id, round(hit.similarity, 3)) == ("lab:17", 1.0)
    assert ears.search(png(11), side="left", subject=["put"], k=1).hits[0].similarity < 0.99


def test_a_vector_of_the_callers_is_kept_and_found(ears):
    item = ears.put("own-vector", png(13), subject="put", side="left")
    before = ears.vectors(item.id)
    own = np.roll(before.embedding, 7)
    ears.put("own-vector", embedding=own, space_id=before.space_id, subject="put", side="left", tags=["mine"])
    after = ears.vectors(item.id)
    np.testing.assert_allclose(after.embedding, own, atol=1e-6)
    np.testing.assert_array_equal(after.mu, before.mu)
    assert ears.item(item.id).tags == ["mine"]
    found = ears.search_vector(embedding=own, space_id=before.space_id, side="left", subject=["put"], k=1)
    assert found.hits[0].similarity == pytest.approx(1.0, abs=1e-5)
    own_mu = np.roll(before.mu, 3)
    put = {"subject": "put", "side": "left", "space_id": before.space_id}
    ears.put("with-mu", png(14), embedding=own, mu=own_mu, **put)
    np.testing.assert_allclose(ears.vectors("with-mu").mu, own_mu, atol=1e-6)


def test_labels_that_are_put_replace_all_labels_and_a_turned_side_turns_the_vector(ears):
    ears.put("turned", png(15), subject="put", side="left", source="x")
    left = ears.vectors("turned").embedding
    item = ears.put("turned", subject="put", side="right")
    assert (item.side, item.source) == ("right", None)
    turned = ears.vectors("turned").embedding
    np.testing.assert_allclose(turned, ears.embed(png(15), side="right").embedding, atol=1e-5)
    assert not np.allclose(turned, left, atol=1e-3)


def test_what_cannot_be_put_is_refused_and_changes_nothing(ears):
    item = ears.put("kept", png(16), subject="put", side="left")
    vector, space_id = ears.vectors("kept").embedding, ears.vectors("kept").space_id
    with pytest.raises(SpaceConflict):
        ears.put("kept", embedding=vector, space_id="sp_other")
    for wrong, name in (
        ({"embedding": vector}, "space_id"),
        ({"embedding": vector[:5], "space_id": space_id}, "1024 numbers"),
        ({"embedding": vector * 0, "space_id": space_id}, "zero|length"),
        ({"mu": vector, "space_id": space_id}, "embedding"),
        ({"box": (1, 1, 9, 9)}, "box"),
    ):
        with pytest.raises(Refused, match=name):
            ears.put("kept", **wrong)
    with pytest.raises(Refused, match="needs its picture"):
        ears.put("new", embedding=vector, space_id=space_id)
    for bad in ("..", ".", "a b", "-x", "x" * 65):
        with pytest.raises(Refused):
            ears.put(bad, png(17), subject="put")
    assert ears.item("kept") == ears.item(item.id)
    assert ears.items(subject=["put"]).total == 1


@pytest.mark.parametrize("name", ["a/b", ".", "..", "../x", "a?b#c", "ä\u0301 \U0001f442", "100 %"])
def test_a_person_of_any_name_is_deleted(live, name):
    with EarTeacher(live) as ears:
        ears.enrol(png(21), subject=name)
        assert ears.delete_subject(name) == 1
        assert ears.delete_subject(name) == 0


def test_a_name_is_deleted_by_query_body_or_path_and_by_one_of_them_only(client):
    for _ in range(3):
        enrol(client, 1, subject="a/b")
        enrol(client, 2, subject="c")
    assert client.delete("/v1/gallery/subjects/a/b").json()["deleted"] == 3
    assert client.request("DELETE", "/v1/gallery/subjects", json={"subject": "c"}).json()["deleted"] == 3
    assert client.delete("/v1/gallery/subjects").status_code == 400
    assert client.delete("/v1/gallery/subjects?subjects=c").status_code == 400
    assert client.delete("/v1/gallery/subjects/c?subject=d").status_code == 400


def test_what_is_gone_has_no_vectors(ears):
    ears.put("gone", png(18), subject="put")
    ears.delete("gone")
    with pytest.raises(Missing):
        ears.vectors("gone")


def test_a_picture_with_a_box_may_be_put_as_json(client):
    picture = "data:image/png;base64," + base64.b64encode(encoded(np.full((90, 90, 3), 99, np.uint8))).decode()
    made = client.put("/v1/gallery/items/j1", json={"image": picture, "box": [10, 10, 60, 70], "subject": "j"})
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/gallery/items/j1")
    again = client.put("/v1/gallery/items/j1", files={"file": png(3)}, data={"subject": "k"})
    assert (again.status_code, again.json()["subject"], again.json()["box"]) == (200, "k", None)
