"""Who may do what."""

import pytest

from serve.errors import ConfigurationError
from serve.http.api_keys import KeyFile, hashed
from serve.settings import read_settings
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


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_key_keeps_the_service_from_starting(bundle_folder, monkeypatch, blank):
    monkeypatch.setenv("EAR_TEACHER_API_KEY", blank)
    with pytest.raises(ConfigurationError, match="EAR_TEACHER_API_KEY.* give a secret, or unset"):
        read_settings({"bundle": bundle_folder, "host": "0.0.0.0"})


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"Authorization": "Bearer "}])
def test_the_hash_of_nothing_in_a_key_file_opens_nothing(serve, tmp_path, headers):
    known = {"name": "nobody", "sha256": hashed(""), "scopes": ["embed"]}
    (tmp_path / "keys.json").write_text(KeyFile.model_validate({"keys": [known]}).model_dump_json())
    with serve(api_key_file=tmp_path / "keys.json") as client:
        assert client.post("/v1/embed", content=png(), headers=headers).status_code == 401
