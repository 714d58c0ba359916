"""Ready is said only when it is true; alive is another question."""

import threading

import pytest

from serve.inference.batcher import BatchLimits
from serve.lifecycle.model_registry import ModelRegistry
from tests.index.store.test_sqlite import files_at_most
from tests.serve.conftest import png, until, wait_until_loaded


def test_ready_names_every_part(client):
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {"model": "ok", "golden": "ok", "encoder": "ok", "decoder": "ok", "gallery": "ok"},
    }


def test_a_loading_model_is_alive_but_not_ready(serve, monkeypatch):
    gate = threading.Event()

    def slow(*given):
        assert gate.wait(20)
        return ModelRegistry(*given)

    monkeypatch.setattr("serve.service.ModelRegistry", slow)
    with serve(ready=False) as client:
        assert client.get("/health/live").status_code == 200
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["checks"]) == (503, {"model": "loading"})
        refused = client.post("/v1/embed", content=png())
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        gate.set()
        wait_until_loaded(client.app)
        assert client.post("/v1/embed", content=png()).status_code == 200


def test_a_model_that_cannot_be_loaded_is_never_ready(serve, tmp_path):
    with serve(ready=False, bundle=tmp_path) as client:
        until(lambda: client.app.state.service.failure is not None)
        answer = client.get("/health/ready")
        assert answer.status_code == 503
        assert "is not a bundle" in answer.json()["checks"]["model"]
        assert client.get("/health/live").status_code == 200


def test_a_model_that_fails_its_golden_crops_never_serves(serve, monkeypatch):
    from bundle.errors import GoldenMismatch
    from bundle.model import EarModel

    def mismatch(self):
        raise GoldenMismatch("cosine 0.2")

    monkeypatch.setattr(EarModel, "check_golden", mismatch)
    with serve(ready=False) as client:
        until(lambda: client.app.state.service.failure is not None)
        assert client.post("/v1/embed", content=png()).status_code == 503
        assert "cosine 0.2" in client.get("/health/ready").json()["checks"]["model"]


def test_a_stuck_model_is_not_ready_and_is_again_when_it_returns(client):
    gate = threading.Event()
    encoder = client.app.state.service.active.engine.encoder
    encoder._limits = BatchLimits(stalled_after_s=0.05)
    real = encoder._run

    def stuck(crops):
        assert gate.wait(20)
        return real(crops)

    encoder._run = stuck
    asking = threading.Thread(target=client.post, args=("/v1/embed",), kwargs={"content": png()})
    asking.start()
    until(lambda: encoder.stalled_s > 0)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "busy with one batch" in answer.json()["checks"]["encoder"]
    assert client.get("/health/live").status_code == 200
    assert client.post("/v1/embed", content=png()).json()["error"]["code"] == "runtime_stalled"
    gate.set()
    asking.join(20)
    assert client.get("/health/ready").status_code == 200


def test_a_store_that_cannot_be_written_is_not_ready_but_still_searched(client):
    with files_at_most(0):
        answer = client.get("/health/ready")
        assert answer.status_code == 503
        assert "cannot be written" in answer.json()["checks"]["gallery"]
        assert client.post("/v1/search", content=png()).status_code == 200
        refused = client.post("/v1/gallery/items", files={"file": png()})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "gallery_read_only")
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_on_every_answers_ids(client, path):
    assert client.get(path).headers["X-Ear-Space-Id"].startswith("sp_")
