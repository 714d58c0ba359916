"""Which model answers, and that every answer says so: across a promotion, on /v1/embeddings and on /v2."""

import base64

import pytest

from serve.oip.models import version_of
from tests.serve.conftest import png, until
from tests.serve.tiny_bundle import write_tiny_bundle

URI = "data:image/png;base64," + base64.b64encode(png(1)).decode()


@pytest.fixture
def two(serve, tmp_path):
    """A service with two live models, and their ids: the active one's first."""
    write_tiny_bundle(tmp_path / "new", seed=3)
    with serve() as client:
        made = client.post("/v1/promotions", json={"bundle": str(tmp_path / "new")}).json()
        path = f"/v1/promotions/{made['id']}"
        until(lambda: client.get(path).json()["state"] == "ready")
        models = client.get("/v1/models").json()["data"]
        assert [model["state"] for model in models] == ["active", "staged"]
        yield client, models


def test_a_bundle_a_space_or_an_alias_selects_and_the_answer_says_which(two):
    client, models = two
    vectors = {}
    for model in models:
        for name in (model["bundle_id"], model["space_id"]):
            body = client.post("/v1/embeddings", json={"input": URI, "model": name}).json()
            assert (body["model"], body["space_id"]) == (model["bundle_id"], model["space_id"])
            vectors[name] = body["data"][0]["embedding"]
        assert client.get(f"/v1/models/{model['space_id']}").json()["id"] == model["id"]
    assert vectors[models[0]["bundle_id"]] != vectors[models[1]["bundle_id"]]
    for alias in ({}, {"model": "ear-teacher"}):
        assert client.post("/v1/embeddings", json={"input": URI, **alias}).json()["model"] == models[0]["id"]
    assert client.get("/v1/models/ear-teacher").json()["id"] == models[0]["id"]


def test_a_model_that_is_not_live_is_404_and_names_those_that_are(two):
    client, models = two
    answer = client.post("/v1/embeddings", json={"input": URI, "model": "bd_retired"})
    assert answer.status_code == 404
    assert all(model["bundle_id"] in answer.json()["error"]["message"] for model in models)


def test_aliases_of_clients_with_a_fixed_name_can_be_set(serve):
    with serve(model_aliases=("text-embedding-3-small",)) as client:
        asked = {"input": URI, "model": "text-embedding-3-small"}
        assert client.post("/v1/embeddings", json=asked).status_code == 200
        assert "text-embedding-3-small" in client.get("/v1/models").json()["data"][0]["aliases"]


def test_versions_of_the_inference_protocol_are_the_loaded_bundles(two):
    client, models = two
    numbers = [version_of(model["bundle_id"]) for model in models]
    metadata = client.get("/v2/models/ear-image").json()
    assert metadata["versions"] == numbers == [model["version"] for model in models]
    assert metadata["parameters"]["space_id"] == models[0]["space_id"]
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [URI]}
    for number, model in zip(numbers, models, strict=True):
        assert number.isdigit()
        path = f"/v2/models/ear-image/versions/{number}"
        assert client.get(path).json()["parameters"]["bundle_id"] == model["bundle_id"]
        answer = client.post(f"{path}/infer", json={"inputs": [image]}).json()
        assert answer["model_version"] == number
        assert answer["parameters"] == {"space_id": model["space_id"], "bundle_id": model["bundle_id"]}
    index = client.post("/v2/repository/index").json()
    assert sorted({entry["version"] for entry in index}) == sorted(numbers)
    assert client.get("/v2/models/ear-image/versions/1").status_code == 404
