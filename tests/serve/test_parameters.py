"""Parameters stand in query, form and JSON alike; what is not understood is an error that names what is allowed."""

import base64
import gzip

import pytest

from serve.errors import ConfigurationError
from serve.settings import read_settings
from tests.serve.conftest import enrol, png

URI = "data:image/png;base64," + base64.b64encode(png(1)).decode()


def in_query(client, path, parameters):
    return client.post(path, params=parameters, content=png(1))


def in_form(client, path, parameters):
    return client.post(path, files={"file": ("ear.png", png(1))}, data=parameters)


def in_json(client, path, parameters):
    return client.post(path, json={"image": URI, **parameters})


PLACES = pytest.mark.parametrize("send", [in_query, in_form, in_json])


@PLACES
def test_labels_of_an_enrolment_are_kept_wherever_they_stand(client, send):
    item = send(client, "/v1/gallery/items", {"subject": "anna", "side": "left", "tags": ["a", "b"], "source": "x"})
    assert item.status_code == 201, item.text
    body = item.json()
    assert (body["subject"], body["side"], body["tags"], body["source"]) == ("anna", "left", ["a", "b"], "x")


@PLACES
def test_filters_of_a_search_hold_wherever_they_stand(client, send):
    for seed, subject in enumerate(("anna", "berta", "carla")):
        enrol(client, seed, subject=subject, side="left")
    asked = {"subject": ["berta", "carla"], "k": 1, "side": "left", "box": "0,0,160,192"}
    answer = send(client, "/v1/search", asked)
    assert [hit["subject"] for hit in answer.json()["hits"]] == ["berta"], answer.text


@PLACES
def test_a_wrong_value_is_named_wherever_it_stands(client, send):
    for path, name, value in (("/v1/embed", "side", "up"), ("/v1/search", "k", 0), ("/v1/search", "box", "1,2")):
        refused = send(client, path, {name: value})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, name), refused.text


def test_sides_and_boxes_of_a_comparison_stand_anywhere(client):
    files = {"a": png(1), "b": png(1)}
    told = {"side_a": "left", "side_b": "right", "box_a": "1,1,100,120"}
    in_query = client.post("/v1/verify", params=told, files=files).json()
    in_form = client.post("/v1/verify", data=told, files=files).json()
    in_json = client.post("/v1/verify", json={"a": URI, "b": URI, **told}).json()
    assert in_query["sides"] == ["left", "right"]
    assert in_query["similarity"] == in_form["similarity"] == pytest.approx(in_json["similarity"], abs=1e-6)


def test_a_search_with_a_vector_takes_its_options_from_the_query_too(client):
    for seed, subject in enumerate(("anna", "berta")):
        enrol(client, seed, subject=subject, side="left")
    embedded = client.post("/v1/embed?side=left", content=png(0)).json()
    vector = {"embedding": embedded["embedding"], "space_id": embedded["space_id"]}
    hits = client.post("/v1/search?k=1&subject=berta", json=vector).json()["hits"]
    assert [hit["subject"] for hit in hits] == ["berta"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/search?thresold=0.5", "thresold"),
        ("/v1/embed?detct=true", "detct"),
        ("/v1/verify?side=left", "side"),
        ("/v1/gallery/items?lable=x", "lable"),
    ],
)
def test_a_misspelt_name_in_the_query_is_an_error_that_names_the_allowed_ones(client, path, name):
    refused = client.post(path, files={"file": png(1)})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, name)
    assert "allowed are" in error["message"]


def test_misspelt_form_fields_keys_and_files_are_errors(client):
    for answer in (
        in_form(client, "/v1/gallery/items", {"subjet": "anna"}),
        in_json(client, "/v1/embed", {"sied": "left"}),
        client.post("/v1/embeddings", json={"input": URI, "dimension": 1024}),
        client.post("/v1/embed", files={"file": png(1), "other": png(1)}),
        client.get("/v1/gallery/items?subjects=anna"),
        client.get("/v1/models?all=true"),
    ):
        assert answer.status_code == 400, answer.text
        assert "allowed are" in answer.json()["error"]["message"]


def test_a_parameter_in_two_places_or_twice_is_an_error(client):
    both = client.post("/v1/embed?side=left", files={"file": png(1)}, data={"side": "right"})
    twice = client.post("/v1/embed?side=left&side=right", content=png(1))
    for answer in (both, twice):
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "side")


def test_an_empty_filter_does_not_search_everybody(client):
    enrol(client, 1, subject="anna")
    assert client.post("/v1/search?subject=", content=png(1)).json()["error"]["param"] == "subject"


def test_null_is_absent(client):
    nothing = {"encoding_format": None, "dimensions": None, "user": None, "side": None, "model": None}
    answer = client.post("/v1/embeddings", json={"input": URI, **nothing})
    assert isinstance(answer.json()["data"][0]["embedding"], list), answer.text
    assert in_json(client, "/v1/search", {"k": None, "subject": None, "threshold": None}).status_code == 200
    item = enrol(client, 1, subject="anna", tags="a")
    cleared = client.patch(f"/v1/gallery/items/{item['id']}", json={"subject": None}).json()
    assert (cleared["subject"], cleared["tags"]) == (None, ["a"])


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "text/plain", None])
def test_json_is_json_whatever_its_content_type(client, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    body = b'{"image": "' + URI.encode() + b'", "side": "left"}'
    assert client.post("/v1/embed", content=body, headers=headers).json()["side"] == "left"


def test_gzipped_bodies_are_read(client):
    headers = {"Content-Encoding": "GZIP"}
    picture = client.post("/v1/embed", content=gzip.compress(png(1)), headers=headers)
    body = gzip.compress(b'{"input": "' + URI.encode() + b'"}')
    listed = client.post("/v1/embeddings", content=body, headers=headers)
    assert picture.json()["embedding"] == pytest.approx(listed.json()["data"][0]["embedding"], abs=1e-6)
    form = client.build_request("POST", "/v1/embed", files={"file": png(1)}, data={"side": "left"})
    packed = gzip.compress(form.read())
    headers = {**headers, "Content-Type": form.headers["content-type"]}
    assert client.post("/v1/embed", content=packed, headers=headers).json()["side"] == "left"
    bomb = gzip.compress(bytes(64 << 20))
    assert client.post("/v1/embed", content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_a_misspelt_setting_is_named_at_start(monkeypatch, tmp_path):
    monkeypatch.setenv("EAR_TEACHER_MAX_BACTH", "4")
    with pytest.raises(ConfigurationError, match="EAR_TEACHER_MAX_BACTH.*EAR_TEACHER_MAX_BATCH"):
        read_settings({"bundle": tmp_path})


def test_what_kubernetes_and_the_client_put_into_the_environment_is_no_mistake(monkeypatch, tmp_path):
    monkeypatch.setenv("EAR_TEACHER_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("EAR_TEACHER_PORT_8350_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("EAR_TEACHER_URL", "http://127.0.0.1:1")
    assert read_settings({"bundle": tmp_path}).bundle == tmp_path
