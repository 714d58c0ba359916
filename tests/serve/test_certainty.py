"""What the encoder's certainty is used for: the side of an ear that nobody named, and refusing what is no ear."""

import base64

import numpy as np
import pytest

from bundle.manifest import EarSpread
from tests.serve.conftest import ear, encoded, enrol, mirrored_png, png
from tests.serve.landmark_bundle import add_landmarks_to
from tests.serve.lifecycle.promoting import post, staged
from tests.serve.test_landmarks import photo
from tests.serve.tiny_bundle import write_tiny_bundle

PLAIN = encoded(np.full((160, 160, 3), 128, np.uint8))


@pytest.fixture(scope="module")
def sure_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "sure"
    write_tiny_bundle(folder, spread=True)
    return folder


@pytest.fixture
def sure(serve, sure_bundle):
    """A client of a service whose encoder says how sure it is of an ear."""
    with serve(bundle=sure_bundle) as client:
        yield client


def embed(client, data, **query):
    answer = client.post("/v1/embed", content=data, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def search(client, data, **query):
    answer = client.post("/v1/search", content=data, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, status=422):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_an_ear_of_unknown_side_is_taken_the_way_round_in_which_the_encoder_is_surer(sure):
    one, other = embed(sure, png(1)), embed(sure, mirrored_png(1))
    assert {one["side"], other["side"]} == {"left", "right"}
    assert one["side_probability"] == other["side_probability"] > 0.5
    np.testing.assert_allclose(one["embedding"], other["embedding"], atol=1e-5)
    named = embed(sure, png(1), side=one["side"])
    assert "side_probability" not in named
    np.testing.assert_allclose(named["embedding"], one["embedding"], atol=1e-5)


def test_every_way_of_embedding_takes_the_same_side(sure):
    one = embed(sure, png(1))
    body = {"model": "ear-teacher", "input": encoded_uri(png(1))}
    (row,) = sure.post("/v1/embeddings", json=body).json()["data"]
    assert (row["side"], row["side_probability"]) == (one["side"], one["side_probability"])
    np.testing.assert_allclose(row["embedding"], one["embedding"], atol=1e-5)


def encoded_uri(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_an_encoder_that_does_not_say_leaves_ears_as_they_are_posted(client):
    answer = embed(client, png(1), include="quality")
    assert answer["side"] == "unknown"
    assert "side_probability" not in answer
    assert answer["quality"]["ear_likeness_from"] == "reconstruction"
    assert client.get("/v1/models").json()["data"][0]["ear_likeness_from"] == "reconstruction"


def test_enrolled_and_searched_ears_of_unknown_side_lie_alike_through_a_promotion(sure, tmp_path):
    item = enrol(sure, 1)
    assert (item["side"], item["taken_as"]) == ("unknown", embed(sure, png(1))["side"])
    assert item["side_probability"] > 0.5
    write_tiny_bundle(tmp_path / "new", seed=1, spread=True)
    promotion = staged(sure, tmp_path / "new")
    for _ in range(2):
        for picture in (png(1), mirrored_png(1)):
            found = search(sure, picture)
            assert found["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)
            assert found["side_probability"] == item["side_probability"]
            other = {"left": "right", "right": "left"}[found["side"]]
            assert search(sure, picture, side=found["side"])["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)
            assert found["side"] != other
        assert post(sure, promotion, "activate", force=True).status_code in (200, 409)


def test_a_side_that_is_named_later_turns_the_stored_ear(sure):
    taken = enrol(sure, 1)
    other = {"left": "right", "right": "left"}[taken["taken_as"]]
    for side in (other, taken["taken_as"], "unknown"):
        sure.patch(f"/v1/gallery/items/{taken['id']}", json={"side": side})
        same = search(sure, png(1), side=other if side == other else taken["taken_as"])
        assert same["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)
        assert same["hits"][0]["side"] == side


def test_verify_compares_the_surer_sides_once(sure):
    answer = sure.post("/v1/verify", files={"a": png(1), "b": mirrored_png(1)}, params={"threshold": 0.9}).json()
    assert answer["same"] is True
    assert sorted(answer["sides"]) == ["left", "right"]
    assert answer["side_probabilities"][0] == answer["side_probabilities"][1] > 0.5
    half = sure.post("/v1/verify", files={"a": png(1), "b": png(1)}, params={"side_a": answer["sides"][0]}).json()
    assert half["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert half["side_probabilities"][0] is None


def test_likeness_falls_with_the_spread_and_plain_pictures_have_none(sure):
    ears = EarSpread(median=0.013)
    values = [ears.likeness(spread) for spread in (0.0, 0.013, 2.16 * 0.013, 0.05, 1.0)]
    assert values == sorted(values, reverse=True)
    assert values[1] > 0.99 > 0.5 == pytest.approx(values[2], abs=1e-6)
    assert values[3] < 0.01
    quality = [embed(sure, data, include="quality")["quality"] for data in (png(1), PLAIN)]
    assert [one["ear_likeness_from"] for one in quality] == ["landmarks"] * 2
    assert quality[0]["ear_likeness"] > 0.9 > 0.01 > quality[1]["ear_likeness"]


def test_what_is_no_ear_is_refused_where_that_is_asked(sure):
    limit = {"min_quality": 0.5}
    answers = [sure.post(path, content=PLAIN, params=limit) for path in ("/v1/embed", "/v1/search")]
    answers.append(sure.post("/v1/gallery/items", files={"file": PLAIN}, data=limit))
    answers.append(sure.post("/v1/verify", files={"a": png(1), "b": PLAIN}, params=limit))
    for answer in answers:
        error = refused(answer)
        assert (error["code"], error["param"]) == ("below_limit", "min_quality")
        assert "min_quality asks for 0.5" in error["message"]
    assert refused(answers[-1])["message"].startswith("b: the likeness to an ear is 0.000")
    assert sure.get("/v1/gallery/items").json()["total"] == 0
    embed(sure, PLAIN)
    embed(sure, png(1), **limit)
    enrol(sure, 1, **limit)


def test_without_certainty_the_redrawing_is_what_min_quality_asks_for(client):
    value = embed(client, png(1), include="quality")["quality"]["ear_likeness"]
    embed(client, png(1), min_quality=value - 1e-3)
    assert refused(client.post(f"/v1/embed?min_quality={value + 1e-3}", content=png(1)))["param"] == "min_quality"


def test_min_score_is_the_detectors(serve, finding_bundle):
    picture = encoded(photo())
    with serve(bundle=finding_bundle) as client:
        assert refused(client.post("/v1/embed?min_score=0.5", content=png(1)), 400)["param"] == "min_score"
        score = embed(client, picture, detect=True)["score"]
        embed(client, picture, detect=True, min_score=score - 0.001)
        error = refused(client.post(f"/v1/embed?detect=true&min_score={score + 0.001}", content=picture))
        assert f"the detector's score is {score:.4f}" in error["message"]


def test_what_the_detector_takes_for_an_ear_must_look_like_one_to_the_encoder(serve, tmp_path):
    write_tiny_bundle(tmp_path / "both", spread=True)
    add_landmarks_to(tmp_path / "both")
    picture = np.full((240, 320, 3), 255, np.uint8)
    picture[:, 40:280] = 128
    plain = encoded(picture)
    with serve(bundle=tmp_path / "both") as client:
        assert len(client.post("/v1/landmarks", content=encoded(photo())).json()["ears"]) == 1
        assert embed(client, encoded(photo()), detect=True)["ears_found"] == 1
        assert client.post("/v1/landmarks", content=plain).json()["ears"] == []
        assert "no ear was found" in refused(client.post("/v1/embed?detect=true", content=plain), 400)["message"]
        assert len(client.post("/v1/landmarks?threshold=0.3", content=plain).json()["ears"]) == 1


def test_the_open_inference_protocol_shows_the_spread_as_triton_would(sure):
    metadata = sure.get("/v2/models/ear-encoder").json()
    assert metadata["outputs"][-1] == {"name": "spread", "datatype": "FP32", "shape": [-1, 1]}
    assert sure.get("/v2/models/ear-encoder/config").json()["output"][-1]["dims"] == [1]
    crop = ear(1, size=(128, 128))
    inputs = [{"name": "image", "datatype": "UINT8", "shape": [1, 128, 128, 3], "data": crop.reshape(-1).tolist()}]
    outputs = sure.post("/v2/models/ear-encoder/infer", json={"inputs": inputs}).json()["outputs"]
    assert (outputs[-1]["name"], outputs[-1]["shape"]) == ("spread", [1, 1])


def test_of_several_pictures_the_one_that_is_no_ear_fails_alone(sure):
    files = [("files", ("a.png", data, "image/png")) for data in (png(1), PLAIN)]
    answer = sure.post("/v1/gallery/items/batch", files=files, data={"min_quality": "0.5"}).json()
    assert [one["status"] for one in answer["results"]] == [201, 422]
    assert answer["results"][1]["error"]["code"] == "below_limit"
