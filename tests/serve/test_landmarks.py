"""Ears in photos: POST /v1/landmarks, and detect=true of /v1/embed and /v1/search."""

import numpy as np
import pytest

from tests.serve.conftest import ear, encoded, png
from tests.serve.landmark_bundle import NAMES


@pytest.fixture
def finding(serve, finding_bundle):
    with serve(bundle=finding_bundle) as client:
        yield client


def photo(value=200):
    """320 x 240: the graph's box is the middle of it, half its size and 80 px up."""
    picture = np.full((240, 320, 3), value, np.uint8)
    picture[40:200, 100:220] = ear(7, size=(120, 160)) // 2 + 100
    return picture


def test_landmarks_are_told_in_pixels_of_the_photo(finding):
    answer = finding.post("/v1/landmarks", content=encoded(photo()))
    body = answer.json()
    assert answer.status_code == 200
    (found,) = body["ears"]
    assert found["box"] == pytest.approx([100, 20, 220, 220])
    assert [point["name"] for point in found["landmarks"]] == list(NAMES)
    assert (found["landmarks"][0]["x"], found["landmarks"][0]["y"]) == pytest.approx((160, 25))
    assert (found["side"], found["side_probability"]) == ("right", pytest.approx(0.8))
    assert 0.5 < found["score"] < 1
    assert (body["width"], body["height"]) == (320, 240)
    assert body["bundle_id"] == answer.headers["X-Ear-Bundle-Id"]


def test_a_dark_photo_has_no_ears(finding):
    black = encoded(np.zeros((640, 640, 3), np.uint8))
    assert finding.post("/v1/landmarks", content=black).json()["ears"] == []


def test_a_lower_threshold_tells_of_less_certain_ears(finding):
    ears = finding.post("/v1/landmarks?threshold=0.01", content=encoded(photo())).json()["ears"]
    assert len(ears) == 2
    assert ears[0]["score"] > ears[1]["score"]


def test_detect_embeds_the_ear_that_was_found(finding):
    found = finding.post("/v1/embed?detect=true", content=encoded(photo())).json()
    boxed = finding.post("/v1/embed?box=100,20,220,220&side=right", content=encoded(photo())).json()
    assert found["side"] == "right"
    assert found["box"] == pytest.approx([100, 20, 220, 220], abs=0.01)
    np.testing.assert_allclose(found["embedding"], boxed["embedding"], atol=1e-3)


def test_detect_searches_with_the_ear_that_was_found(finding):
    form = {"box": "100,20,220,220", "side": "right"}
    item = finding.post("/v1/gallery/items", files={"file": ("ear", encoded(photo()))}, data=form).json()
    found = finding.post("/v1/search?detect=true", content=encoded(photo())).json()
    assert (found["side"], found["box"]) == ("right", pytest.approx([100, 20, 220, 220], abs=0.01))
    assert found["hits"][0]["item_id"] == item["id"]
    assert found["hits"][0]["similarity"] > 0.999
    persons = finding.post("/v1/search?detect=true&group=subject", content=encoded(photo())).json()
    assert persons["box"] == found["box"]


def test_with_a_side_the_most_certain_ear_of_that_side_is_taken(finding):
    assert finding.post("/v1/embed?detect=true&side=right", content=encoded(photo())).json()["side"] == "right"
    refused = finding.post("/v1/embed?detect=true&side=left", content=encoded(photo()))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "detect")
    assert "no left ear" in refused.json()["error"]["message"]


def test_no_ear_to_embed_is_told(finding):
    answer = finding.post("/v1/embed?detect=true", content=encoded(np.zeros((640, 640, 3), np.uint8)))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "detect"
    assert "no ear was found" in answer.json()["error"]["message"]


def test_a_box_and_detect_contradict_each_other(finding):
    answer = finding.post("/v1/embed?detect=true&box=1,2,30,40", content=png())
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "detect"


@pytest.mark.parametrize("path", ["/v1/landmarks", "/v1/embed?detect=true", "/v1/search?detect=true"])
def test_a_bundle_without_landmarks_says_so(client, path):
    answer = client.post(path, content=png())
    assert answer.status_code == 404
    assert "ear-teacher detector export" in answer.json()["error"]["message"]


def test_the_landmark_worker_counts_for_readiness(finding):
    assert finding.get("/health/ready").json()["checks"]["landmarks"] == "ok"


def test_what_is_no_picture_is_refused(finding):
    assert finding.post("/v1/landmarks", content=b"no picture").status_code == 400
