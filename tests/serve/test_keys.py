"""Who may do what."""

import pytest

from tests.serve.conftest import png

KEY = "a-key-of-the-tests"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def locked(serve):
    with serve(api_key=KEY) as client:
        yield client


@pytest.mark.parametrize("headers", [BEARER, {"X-API-Key": KEY}, {"authorization": f"bearer {KEY}"}])
def test_a_key_opens(locked, headers):
    assert locked.post("/v1/embed", content=png(), headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"Authorization": KEY}])
def test_anything_else_does_not(locked, headers):
    answer = locked.post("/v1/embed", content=png(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_every_v1_route_is_locked(locked):
    for path, methods in locked.app.openapi()["paths"].items():
        for method in methods:
            if path.startswith("/v1/"):
                answer = locked.request(method, path.replace("{item_id}", "x").replace("{subject}", "x"))
                assert answer.status_code == 401, (method, path)


def test_health_and_page_need_no_key(locked):
    for path in ("/health/live", "/health/ready", "/docs", "/"):
        assert locked.get(path).status_code == 200
