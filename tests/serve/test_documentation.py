"""What is absent, the documentation's files, and what the service starts without."""

import subprocess
import sys

import pytest


def test_what_is_not_there_answers_404_and_405_in_the_same_shape(client):
    assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/v1/embed").json()["error"]["code"] == "method_not_allowed"


def test_the_documentation_asks_no_other_host(client):
    html = client.get("/docs").text
    assert "http://" not in html
    assert "https://" not in html
    for path in ("/docs-files/swagger-ui-bundle.js", "/docs-files/swagger-ui.css", "/openapi.json", "/"):
        assert client.get(path).status_code == 200, path


def test_two_ears_are_judged_without_scipy():
    code = (
        "import sys; from serve.inference.verification import judge, of_bundle; judge(0.5, "
        "of_bundle({'slope': 9.0, 'intercept': -4.0, 'points': [{'far': 0.01, 'threshold': 0.4, 'tar': 0.9}], "
        "'genuine_pairs': 9, 'impostor_pairs': 99}), comparisons=2); assert 'scipy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["torch", "scipy", "sqlalchemy", "faiss"])
def test_the_service_starts_without_what_few_requests_or_no_gallery_need(name):
    code = f"import serve.server, sys; assert {name!r} not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
