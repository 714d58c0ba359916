"""Bodies that nobody would send on purpose: no 5xx, no wedge, and others are served as before."""

import random

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.mutation import HEADERS, JSON_BODIES, mutated, mutated_header
from serve.settings import Settings
from tests.serve.conftest import ear, encoded, live_server, png

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_pictures_are_answered_or_refused(client, kind):
    rng = random.Random(kind)
    picture = encoded(ear(1), kind)
    for _ in range(25):
        answer = client.post("/v1/embed", content=mutated(picture, rng))
        assert answer.status_code in (200, 400, 413), answer.text
    assert client.post("/v1/embed", content=png()).status_code == 200


@pytest.mark.parametrize("route", JSON_BODIES)
def test_mutated_json_is_answered_or_refused(client, route):
    rng = random.Random(route)
    headers = {"Content-Type": "application/json"}
    for _ in range(40):
        answer = client.post(route, content=mutated(JSON_BODIES[route], rng), headers=headers)
        assert answer.status_code < 500, answer.text
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize("name", HEADERS)
def test_mutated_headers_are_answered_or_refused(client, name):
    rng = random.Random(name)
    infer = "/v2/models/ear-decoder/infer"
    for n in range(30):
        headers = {name: mutated_header(HEADERS[name], rng)}
        for method, path in (("POST", infer), ("POST", "/v1/embed"), ("GET", "/page/app.js")):
            answer = client.request(method, path, content=JSON_BODIES[infer], headers=headers)
            assert answer.status_code < 500, (n, path, headers, answer.text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=anything, key=st.sampled_from(["input", "inputs", "images", "messages", "side", "dimensions"]))
def test_any_json_value_in_any_place_is_answered_or_refused(client, value, key):
    body = {"input": "AAAA", key: value}
    try:
        document = orjson.dumps(body)
    except (TypeError, ValueError):  # integers of more than 64 bits, lone surrogates
        return
    answer = client.post("/v1/embeddings", content=document)
    assert answer.status_code < 500, answer.text


@pytest.mark.slow
def test_no_request_that_the_openapi_document_allows_gives_a_5xx(bundle_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # among what it asks for are exports into folders of any name
    with live_server(Settings(bundle=bundle_folder, gallery=tmp_path / "gallery", port=0, threads=1)) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        failures = []
        for result in schema.get_all_operations():
            operation = result.ok()

            @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy())
            def ask(case):
                answer = case.call(base_url=str(address))
                if answer.status_code >= 500:
                    failures.append((case.method, case.path, answer.status_code, answer.text[:200]))

            ask()
        assert failures == []
