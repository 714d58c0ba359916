"""POST /v1/gallery/items/batch: several pictures in one form, labels as a JSON part, a status for each."""

import base64
import json

import numpy as np

from client.client import EarTeacher
from serve.inference.batcher import Batcher
from tests.serve.conftest import encoded, png
from tests.serve.test_landmarks import photo

BATCH = "/v1/gallery/items/batch"


def send(client, pictures, labels=None, **fields):
    files = [("files", (f"{n}.png", data, "image/png")) for n, data in enumerate(pictures)]
    data = fields if labels is None else {"labels": json.dumps(labels), **fields}
    return client.post(BATCH, files=files, data=data)


def test_each_picture_has_its_own_labels_and_all_are_found(client):
    labels = [
        {"subject": "anna", "side": "left", "tags": ["a", "b"], "source": "x"},
        {"subject": "berta", "side": "right", "box": [5, 5, 120, 150], "tags": None},
        {},
    ]
    answer = send(client, [png(1), png(2), png(3)], labels)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["enrolled"], told["known"], told["failed"]) == (3, 0, 0)
    assert [one["status"] for one in told["results"]] == [201] * 3
    first, second, third = (one["items"][0] for one in told["results"])
    assert (first["subject"], first["side"], first["tags"], first["source"]) == ("anna", "left", ["a", "b"], "x")
    assert (second["subject"], second["side"], second["tags"]) == ("berta", "right", [])
    assert (third["subject"], third["side"]) == (None, "unknown")
    params = {"side": "right", "box": "5,5,120,150", "k": 1}
    hit = client.post("/v1/search", content=png(2), params=params).json()["hits"][0]
    assert (hit["item_id"], round(hit["similarity"], 3)) == (second["id"], 1.0)


def test_a_picture_that_cannot_be_enrolled_has_its_own_status_and_stops_no_other(client):
    labels = [{"subject": "anna"}, {"subject": "berta"}, {"subject": "a\x00b"}, {"box": [1, 1, 1, 1]}, {}]
    told = send(client, [png(1), b"no picture", png(3), png(4), png(5)], labels).json()
    statuses = [one["status"] for one in told["results"]]
    assert statuses == [201, 400, 400, 400, 201]
    assert told["results"][1]["error"]["code"] == "invalid_image"
    assert told["results"][2]["error"]["code"] == "bad_item"
    assert (told["enrolled"], told["failed"]) == (2, 3)
    assert client.get("/v1/gallery/items").json()["total"] == 2


def test_what_is_enrolled_already_is_returned_or_refused_by_itself(client):
    first = send(client, [png(1)], [{"subject": "anna"}]).json()["results"][0]["items"][0]
    again = send(client, [png(1), png(2), png(2)], on_duplicate="return").json()
    assert [one["status"] for one in again["results"]] == [200, 201, 200]
    assert again["results"][0]["items"][0] == first
    assert (again["enrolled"], again["known"]) == (1, 2)
    refused = send(client, [png(1), png(3)], on_duplicate="reject").json()["results"]
    assert [one["status"] for one in refused] == [409, 201]
    assert refused[0]["error"]["code"] == "duplicate_item"
    assert first["id"] in refused[0]["error"]["message"]
    assert client.get("/v1/gallery/items").json()["total"] == 3


def test_labels_may_be_a_file_of_the_form_and_everything_may_be_json(client):
    files = [("files", png(1)), ("labels", ("labels.json", json.dumps([{"subject": "anna"}]), "application/json"))]
    assert client.post(BATCH, files=files).json()["results"][0]["items"][0]["subject"] == "anna"
    uris = ["data:image/png;base64," + base64.b64encode(png(seed)).decode() for seed in (2, 3)]
    told = client.post(BATCH, json={"files": uris, "labels": [{"subject": "b"}, {"subject": "c"}]}).json()
    assert [one["items"][0]["subject"] for one in told["results"]] == ["b", "c"]


def test_labels_that_are_not_understood_enrol_nothing(client):
    for labels, param in (
        ([{"subjet": "anna"}, {}], "labels"),
        ([{"side": "up"}, {}], "labels"),
        ([{}], "labels"),
        ({"subject": "anna"}, "labels"),
        (["anna", "berta"], "labels"),
    ):
        refused = send(client, [png(1), png(2)], labels)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text
    assert client.post(BATCH, files={"files": png(1)}, data={"labels": "no JSON"}).status_code == 400
    assert client.post(BATCH, data={"on_duplicate": "add"}).status_code == 400
    assert client.get("/v1/gallery/items").json()["total"] == 0


def test_pictures_of_a_batch_count_for_the_rate_and_have_a_limit(serve):
    with serve(rate_limit="3/hour", max_inputs=3) as client:
        assert send(client, [png(1), png(2), png(3)]).status_code == 200
        assert send(client, [png(1)]).status_code == 429
    with serve(max_inputs=2) as client:
        assert send(client, [png(1), png(2), png(3)]).status_code == 400


def test_what_is_wrong_with_the_service_is_no_pictures_fault(client, monkeypatch):
    gallery = client.app.state.service.active.gallery_pool.gallery
    gallery._truth._reserve_bytes = 1 << 60
    refused = send(client, [png(1), b"no picture"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "gallery_read_only")


def test_every_ear_of_every_photo_is_enrolled(finding_live):
    with EarTeacher(finding_live) as ears:
        done = ears.enrol_many([encoded(photo()), png(1)], [{"subject": "batch-photo"}, {}], detect="all")
        assert [one.ears_found for one in done.results] == [len(one.items) for one in done.results] == [1, 1]
        assert {item.subject for item in done.results[0].items} == {"batch-photo"}
        ears.delete_subject("batch-photo")


def test_the_client_takes_pixels_and_labels_with_boxes(live):
    with EarTeacher(live) as ears:
        pixels = np.zeros((60, 50, 3), np.uint8)
        done = ears.enrol_many([pixels, png(7)], [{"subject": "batch", "box": (1, 2, 40, 50)}, {"subject": "batch"}])
        assert [one.status for one in done.results] == [201, 201]
        assert done.results[0].items[0].box is not None
        assert ears.delete_subject("batch") == 2


def test_crops_of_all_pictures_go_to_the_model_together(client, monkeypatch):
    sizes, real = [], Batcher.submit

    async def counted(self, items, *args, **named):
        sizes.append(len(items))
        return await real(self, items, *args, **named)

    monkeypatch.setattr(Batcher, "submit", counted)
    assert send(client, [png(seed) for seed in range(5)]).json()["enrolled"] == 5
    assert 5 in sizes
