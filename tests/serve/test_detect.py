"""detect=true and detect=all in every call that takes a picture, on photos with a right and a less certain left ear."""

import base64

import numpy as np
import pytest

from tests.serve.conftest import encoded
from tests.serve.landmark_bundle import add_landmarks_to
from tests.serve.test_landmarks import photo
from tests.serve.tiny_bundle import write_tiny_bundle

FILE = encoded(photo())
RIGHT, LEFT = [100, 20, 220, 220], [10, 60, 70, 160]
URI = "data:image/png;base64," + base64.b64encode(FILE).decode()


@pytest.fixture(scope="module")
def two_eared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "two"
    write_tiny_bundle(folder)
    add_landmarks_to(folder, second=0.8)
    return folder


@pytest.fixture
def client(serve, two_eared):
    with serve(bundle=two_eared) as client:
        yield client


def places(ears):
    return [(ear["side"], ear["box"]) for ear in ears]


BOTH = [("right", pytest.approx(RIGHT, abs=0.1)), ("left", pytest.approx(LEFT, abs=0.1))]


def test_an_answer_says_which_ear_it_is_about_and_how_many_there_were(client):
    body = client.post("/v1/embed?detect=true", content=FILE).json()
    assert places([body]) == BOTH[:1]
    assert (body["ears_found"], body["side_probability"]) == (2, pytest.approx(0.8))
    assert "ears" not in body
    left = client.post("/v1/embed?detect=true&side=left", content=FILE).json()
    assert places([left]) == BOTH[1:]
    assert left["side_probability"] == pytest.approx(0.6)


def test_every_ear_of_a_photo_is_embedded(client):
    body = client.post("/v1/embed?detect=all&include=mu,quality", content=FILE).json()
    assert places(body["ears"]) == BOTH
    for ear in body["ears"]:
        query = {"box": ",".join(map(str, ear["box"])), "side": ear["side"]}
        boxed = client.post("/v1/embed", params=query, content=FILE).json()
        np.testing.assert_allclose(ear["embedding"], boxed["embedding"], atol=1e-3)
        assert len(ear["mu"]) == 1024
        assert ear["quality"]["psnr_db"] > 0
    assert body["embedding"] == body["ears"][0]["embedding"]


def test_openais_route_embeds_every_ear_of_every_picture(client):
    asked = {"input": [URI, URI], "detect": "all"}
    rows = client.post("/v1/embeddings", json=asked).json()["data"]
    assert [(row["index"], row["input"], row["side"]) for row in rows] == [
        (0, 0, "right"), (1, 0, "left"), (2, 1, "right"), (3, 1, "left"),
    ]  # fmt: skip
    (row,) = client.post("/v1/embeddings", json={"input": URI, "detect": True}).json()["data"]
    assert (row["ears_found"], row["side"]) == (2, "right")


def test_enrolled_ears_of_a_photo_are_found_by_each(client):
    made = client.post("/v1/gallery/items", files={"file": FILE}, data={"detect": "all", "subject": "anna"})
    assert made.status_code == 201, made.text
    assert [item["side"] for item in made.json()["items"]] == ["right", "left"]
    assert (made.json()["ears_found"], made.json()["side_probability"]) == (2, pytest.approx(0.8))
    found = client.post("/v1/search?detect=all&k=1", content=FILE).json()
    assert places(found["ears"]) == BOTH
    ids = [item["id"] for item in made.json()["items"]]
    assert [ear["hits"][0]["item_id"] for ear in found["ears"]] == ids
    assert all(ear["hits"][0]["similarity"] > 0.999 for ear in found["ears"])
    persons = client.post("/v1/search?detect=all&group=subject", content=FILE).json()
    assert [ear["subjects"][0]["subject"] for ear in persons["ears"]] == ["anna", "anna"]
    one = client.post("/v1/gallery/items?detect=true&side=left", files={"file": FILE}).json()
    assert (one["side"], one["sha256"]) == ("left", made.json()["items"][1]["sha256"])


def test_photos_are_verified_by_their_best_pair_of_ears(client):
    files = {"a": FILE, "b": FILE}
    one = client.post("/v1/verify?detect=true", files=files).json()
    every = client.post("/v1/verify?detect=all", files=files).json()
    left = client.post("/v1/verify?detect=true&side_a=left&side_b=left", files=files).json()
    assert one["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert one["ears_found"] == every["ears_found"] == [2, 2]
    assert places(one["detected"]) == [BOTH[0]] * 2
    assert places(left["detected"]) == [BOTH[1]] * 2
    assert every["probability"] < one["probability"]  # the best of four comparisons


def test_every_ear_is_reconstructed(client):
    body = client.post("/v1/reconstruct?detect=all&format=json", content=FILE).json()
    assert places(body["ears"]) == BOTH
    assert body["image"] == body["ears"][0]["image"]
    assert client.post("/v1/reconstruct?detect=true", content=FILE).headers["content-type"] == "image/png"


def test_a_match_of_a_photo_is_explained(client):
    item = client.post("/v1/gallery/items?detect=true", files={"file": FILE}).json()
    why = client.post(f"/v1/explain?detect=true&item={item['id']}", content=FILE).json()
    assert (why["similarity"], why["ears_found"]) == (pytest.approx(1.0, abs=1e-4), 2)


@pytest.mark.parametrize("path", ["/v1/embed", "/v1/search", "/v1/reconstruct", "/v1/gallery/items"])
def test_no_ear_of_the_side_is_an_error_everywhere(client, path):
    dark = encoded(np.zeros((640, 640, 3), np.uint8))
    refused = client.post(f"{path}?detect=true", files={"file": dark})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "detect")


def infer(client, **parameters):
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(FILE).decode()]}
    answer = client.post("/v2/models/ear-image/infer", json={"inputs": [image], "parameters": parameters})
    return answer, {one["name"]: one for one in answer.json().get("outputs", [])}


def test_the_inference_protocol_detects_too(client):
    _, one = infer(client, detect=True, side="left")
    assert one["side"]["data"] == ["left"]
    assert one["box"]["data"] == pytest.approx(LEFT, abs=0.1)
    _, every = infer(client, detect="all")
    assert (every["embedding"]["shape"], every["input"]["data"]) == ([2, 1024], [0, 0])
    assert every["side"]["data"] == ["right", "left"]
    refused, _ = infer(client, detekt=True)
    assert refused.status_code == 400
    assert "allowed are side, box, detect" in refused.json()["error"]
