"""A promotion meets kills, restored backups, busy models and requests under way: nothing is lost, all goes on."""

import asyncio
import shutil
import threading
import time

import numpy as np
import pytest

import serve.lifecycle.promotion
from index.items import NewItem, Vectors
from index.tools.backup import backup, restore
from serve.errors import Overloaded
from serve.lifecycle.in_flight import InFlight
from serve.lifecycle.promotion_record import read_ledger
from serve.observability.request_context import Trace
from tests.serve.conftest import enrol, png
from tests.serve.lifecycle.test_promotion import fill, new_bundle, post, search, staged, start, state
from tests.serve.tiny_bundle import write_tiny_bundle

__all__ = ["new_bundle"]


@pytest.fixture
def unwritten(monkeypatch):
    """What a kill leaves between the flip of the gallery and the note of it."""

    def kill(then):
        with monkeypatch.context() as patched:
            patched.setattr(serve.lifecycle.promotion, "write_ledger", lambda folder, ledger: None)
            then()

    return kill


def test_a_kill_right_after_the_flip_leaves_a_service_that_starts_and_can_go_back(serve, new_bundle, unwritten):
    folder, manifest = new_bundle
    with serve() as client:
        fill(client, 3)
        promotion = staged(client, folder)
        unwritten(lambda: post(client, promotion, "activate", force=True))
    with serve() as client:
        assert state(client, promotion)["state"] == "active"
        assert search(client, 1)["space_id"] == manifest.space_id
        unwritten(lambda: post(client, promotion, "rollback"))
    with serve() as client:
        assert state(client, promotion)["state"] == "rolled back"
        assert search(client, 1)["space_id"] != manifest.space_id
        assert post(client, promotion, "activate", force=True).json()["state"] == "active"


def test_a_model_too_busy_for_a_write_is_filled_before_it_answers(client, new_bundle, monkeypatch):
    folder, manifest = new_bundle
    fill(client, 3)
    promotion = staged(client, folder)
    models = client.app.state.service.models

    def enrol_while_busy(bundle_id, seed):
        async def busy(trace, crops):
            raise Overloaded("256 pictures wait already")

        with monkeypatch.context() as patched:
            patched.setattr(models.of(bundle_id).engine, "encode", busy)
            return enrol(client, seed, side="left")["id"]

    missed = enrol_while_busy(manifest.bundle_id, 80)
    assert post(client, promotion, "activate", force=True).json()["state"] == "active"
    assert search(client, 80)["hits"][0]["item_id"] == missed
    missed = enrol_while_busy(state(client, promotion)["from_bundle_id"], 81)
    assert post(client, promotion, "rollback").json()["state"] == "rolled back"
    assert search(client, 81)["hits"][0]["item_id"] == missed


def test_a_promotion_that_cannot_be_noted_is_not_begun(client, new_bundle, monkeypatch):
    folder, _ = new_bundle

    def full(*given):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(serve.lifecycle.promotion, "write_ledger", full)
        assert client.post("/v1/promotions", json={"bundle": str(folder)}).status_code >= 500
    assert client.get("/v1/promotions").json() == {"promotions": []}
    assert len(client.get("/v1/models").json()["data"]) == 1
    assert staged(client, folder)


def test_a_backup_from_before_a_promotion_can_be_restored_beside_its_ledger(serve, new_bundle, tmp_path):
    folder, manifest = new_bundle
    with serve() as client:
        fill(client, 2)
        backup(tmp_path / "gallery", tmp_path / "kept")
        promotion = staged(client, folder)
        post(client, promotion, "activate", force=True)
    (tmp_path / "gallery" / "gallery.sqlite").unlink()
    restore(tmp_path / "kept", tmp_path / "gallery")
    with serve() as client:
        assert search(client, 1)["space_id"] != manifest.space_id
        assert state(client, promotion)["state"] == "rolled back"
        assert post(client, promotion, "activate", force=True).json()["state"] == "active"
        assert search(client, 1)["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)


def test_a_backup_of_a_promotion_restored_elsewhere_keeps_no_space_that_nobody_fills(serve, new_bundle, tmp_path):
    folder, manifest = new_bundle
    with serve() as client:
        fill(client, 2)
        staged(client, folder)
        backup(tmp_path / "gallery", tmp_path / "kept")
    restore(tmp_path / "kept", tmp_path / "elsewhere")
    with serve(gallery=tmp_path / "elsewhere") as client:
        spaces = client.app.state.service.models.gallery.spaces.all()
        assert [space.state for space in spaces] == ["active"]
        assert len(search(client, 1)["hits"]) == 2
        assert read_ledger(tmp_path / "elsewhere").promotions == []
        assert start(client, folder)


def test_a_model_that_leaves_outlasts_the_requests_that_hold_it():
    requests, early, late = InFlight(), Trace("a", 0.0), Trace("b", 0.0)
    requests.began(early)
    left = threading.Event()
    leaving = threading.Thread(target=lambda: (requests.outlast(30), left.set()))
    leaving.start()
    requests.began(late)
    assert not left.wait(0.1)
    requests.finished(early, "/v1/embed", "POST", 200)
    assert left.wait(30)  # whatever came later is not waited for
    leaving.join()


def test_a_request_that_never_ends_is_waited_for_just_so_long():
    requests, started = InFlight(), time.monotonic()
    requests.began(Trace("a", 0.0))
    requests.outlast(0.2)
    assert time.monotonic() - started >= 0.2  # it waited, and it has come back


def test_a_retiring_model_still_answers_who_took_it(client, new_bundle, monkeypatch):
    folder, _ = new_bundle
    fill(client, 3)
    promotion = staged(client, folder)
    service = client.app.state.service
    taken, go_on, answers = threading.Event(), threading.Event(), []
    engine = service.active.engine
    whole = engine.encode

    async def held(trace, crops):
        taken.set()
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return await whole(trace, crops)

    monkeypatch.setattr(engine, "encode", held)
    asking = threading.Thread(
        target=lambda: answers.append(client.post("/v1/search", content=png(1), params={"side": "left"}))
    )
    asking.start()
    assert taken.wait(30)
    post(client, promotion, "activate", force=True)
    retiring = threading.Thread(target=lambda: answers.append(post(client, promotion, "retire")))
    retiring.start()
    retiring.join(0.3)  # time enough to take the space away
    go_on.set()
    asking.join()
    retiring.join()
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]


def test_a_bundle_that_is_gone_or_was_exported_anew_does_not_keep_the_service_from_starting(serve, tmp_path):
    write_tiny_bundle(tmp_path / "new", seed=1)
    with serve() as client:
        fill(client, 2)
        promotion = staged(client, tmp_path / "new")
    write_tiny_bundle(tmp_path / "new", seed=3)
    with serve() as client:
        assert state(client, promotion)["state"] == "ready"
        assert post(client, promotion, "activate", force=True).status_code == 404
        assert post(client, promotion, "retire").json()["state"] == "cancelled"
    with serve() as client:  # the space that nobody has is let go
        assert len(client.app.state.service.models.gallery.spaces.all()) == 1
        assert start(client, tmp_path / "new")


def test_an_embedding_whose_bundle_is_gone_has_failed(serve, tmp_path, monkeypatch):
    write_tiny_bundle(tmp_path / "new", seed=1)
    monkeypatch.setattr("serve.lifecycle.reembedding.BATCH", 1)
    with serve(promotion_share=0.001) as client:
        fill(client, 4)
        promotion = start(client, tmp_path / "new")
    shutil.rmtree(tmp_path / "new")
    with serve() as client:
        told = state(client, promotion)
        assert told["state"] == "failed"
        assert "does not hold" in told["error"]


def test_a_bundle_that_answers_is_not_promoted(client, bundle_folder):
    answer = client.post("/v1/promotions", json={"bundle": str(bundle_folder)})
    assert answer.status_code == 409
    assert "answers already" in answer.json()["error"]["message"]


def test_an_ear_with_vectors_of_a_space_that_was_retired_meanwhile_is_enrolled(client):
    vector = np.eye(1, 1024, dtype=np.float32)[0]
    gallery = client.app.state.service.models.gallery
    (item,) = gallery.enrol([NewItem(b"crop", vector, vector, also={"sp_" + "f" * 32: Vectors(vector, vector)})])
    assert gallery.get(item.id) == item
