"""A new model under a live service and a filled gallery: nothing fails, nothing is lost, and there is a way back."""

import concurrent.futures
import threading

import numpy as np
import pytest

import serve.lifecycle.promotion
from bundle.manifest import write_manifest
from serve.lifecycle.promotion_record import Ledger, PromotionRecord, read_ledger, write_ledger
from serve.lifecycle.promotion_report import objections
from serve.settings import Settings
from tests.serve.conftest import enrol, png, until
from tests.serve.lifecycle.promoting import IDENTITIES, post, search, staged, start, state
from tests.serve.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def new_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new") / "bundle"
    return folder, write_tiny_bundle(folder, seed=1)


def test_what_a_bundle_would_take_away_speaks_against_it(serve, finding_bundle, tmp_path):
    poorer = tmp_path / "poorer"
    manifest = write_tiny_bundle(poorer, seed=2)
    files = {name: entry for name, entry in manifest.files.items() if name != "eigenears.npz"}
    (poorer / "eigenears.npz").unlink()
    write_manifest(poorer, manifest.model_copy(update={"files": files, "calibration": None}))
    with serve(bundle=finding_bundle) as client:
        fill(client, 2)
        promotion = staged(client, poorer)
        against = " ".join(state(client, promotion)["objections"])
        for word in ("landmarks", "calibration", "eigenears"):
            assert f"{word} " in against
        assert "ear-teacher detector export" in against
        refused = post(client, promotion, "activate")
        assert refused.status_code == 409
        assert "landmarks are lost" in refused.json()["error"]["message"]
        assert post(client, promotion, "activate", force=True).status_code == 200


def test_a_bundle_that_takes_nothing_away_is_not_objected_to(client, new_bundle):
    fill(client, 2)
    assert not [words for words in state(client, staged(client, new_bundle[0]))["objections"] if "lost" in words]


def fill(client, count=6):
    return [enrol(client, seed, subject=f"s{seed}", side="left") for seed in range(count)]


def test_a_promotion_from_staging_to_retirement(client, new_bundle):
    folder, manifest = new_bundle
    items = fill(client)
    old_space = client.get("/health/live").headers["X-Ear-Space-Id"]
    promotion = staged(client, folder)
    told = state(client, promotion)
    assert (told["done"], told["total"], told["failed_items"]) == (6, 6, [])
    assert told["report"]["overlap"]["1"] > 0
    assert search(client, 2)["space_id"] == old_space

    assert post(client, promotion, "activate", force=True).json()["state"] == "active"
    found = search(client, 2)
    assert found["space_id"] == manifest.space_id
    assert found["hits"][0]["item_id"] == items[2]["id"]
    assert found["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert client.get("/health/live").headers["X-Ear-Bundle-Id"] == manifest.bundle_id

    assert post(client, promotion, "retire").json()["state"] == "retired"
    (model,) = client.get("/v1/models").json()["data"]
    assert model["id"] == manifest.bundle_id
    assert client.post("/v1/search", content=png(2), params={"space_id": old_space}).status_code == 409


def test_both_spaces_answer_who_names_them_and_receive_every_write(client, new_bundle):
    folder, manifest = new_bundle
    fill(client, 3)
    old_space = client.get("/health/live").headers["X-Ear-Space-Id"]
    promotion = staged(client, folder)
    during = enrol(client, 50, subject="during", side="left")
    post(client, promotion, "activate", force=True)
    after = enrol(client, 51, subject="after", side="left")
    for space in (old_space, manifest.space_id):
        for seed, item in ((50, during), (51, after)):
            found = search(client, seed, space_id=space)
            assert (found["space_id"], found["hits"][0]["item_id"]) == (space, item["id"])
            assert found["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)
    vector = client.post("/v1/embed", content=png(50), params={"side": "left", "space_id": old_space}).json()
    query = {"embedding": vector["embedding"], "space_id": old_space, "k": 1}
    assert client.post("/v1/search", json=query).json()["hits"][0]["item_id"] == during["id"]
    states = {model["space_id"]: model["state"] for model in client.get("/v1/models").json()["data"]}
    assert states == {manifest.space_id: "active", old_space: "retained"}


def test_going_back_loses_nothing_and_forward_again_neither(client, new_bundle):
    folder, manifest = new_bundle
    fill(client, 3)
    promotion = staged(client, folder)
    post(client, promotion, "activate", force=True)
    enrolled = enrol(client, 60, side="left")
    client.patch(f"/v1/gallery/items/{enrolled['id']}", json={"side": "right"})
    assert post(client, promotion, "rollback").json()["state"] == "rolled back"
    found = search(client, 60, side="right")
    assert found["space_id"] != manifest.space_id
    assert found["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert post(client, promotion, "activate", force=True).status_code == 200
    assert search(client, 60, side="right")["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)


def test_a_promotion_survives_restarts_in_every_state(serve, new_bundle):
    folder, manifest = new_bundle
    with serve() as client:
        fill(client, 3)
        promotion = staged(client, folder)
    with serve() as client:
        assert state(client, promotion)["state"] == "ready"
        enrol(client, 70, side="left")
        post(client, promotion, "activate", force=True)
    with serve() as client:
        assert search(client, 70)["space_id"] == manifest.space_id
        post(client, promotion, "rollback")
    with serve() as client:
        assert search(client, 70)["space_id"] != manifest.space_id
        post(client, promotion, "activate", force=True)
        post(client, promotion, "retire")
    with serve() as client:
        assert search(client, 70)["space_id"] == manifest.space_id
        assert len(client.get("/v1/models").json()["data"]) == 1


def test_an_interrupted_embedding_goes_on_where_it_stopped(serve, new_bundle, monkeypatch):
    folder, _ = new_bundle
    monkeypatch.setattr("serve.lifecycle.reembedding.BATCH", 1)
    with serve(promotion_share=0.01) as client:
        fill(client, 6)
        promotion = start(client, folder)
        until(lambda: state(client, promotion)["done"] >= 1)
    with serve() as client:
        until(lambda: state(client, promotion)["state"] == "ready")
        assert state(client, promotion)["done"] == 6


def test_no_request_fails_while_the_model_is_replaced(client, new_bundle):
    """Searches and enrolments run all through stage, activate and roll back; each answer is right in its own space."""
    folder, _ = new_bundle
    items = fill(client, 8)
    failures, stop = [], threading.Event()

    def traffic(number):
        while not stop.is_set():
            seed = number % 8
            answer = client.post("/v1/search", content=png(seed), params={"side": "left", "k": 1})
            hits = answer.json().get("hits")
            if answer.status_code != 200 or hits[0]["item_id"] != items[seed]["id"] or hits[0]["similarity"] < 0.999:
                failures.append(answer.text[:300])
            form = {"files": {"file": png(1000 + number)}, "data": {"side": "left"}}
            if (answer := client.post("/v1/gallery/items", **form)).status_code != 201:
                failures.append(answer.text[:300])

    callers = [threading.Thread(target=traffic, args=(number,)) for number in range(3)]
    for caller in callers:
        caller.start()
    try:
        promotion = staged(client, folder)
        for verb in ("activate", "rollback", "activate"):
            assert post(client, promotion, verb, **({"force": True} if verb == "activate" else {})).status_code == 200
    finally:
        stop.set()
        for caller in callers:
            caller.join(30)
    assert failures == []


def test_a_report_that_speaks_against_it_needs_force(client, new_bundle):
    folder, _ = new_bundle
    fill(client, 4)
    promotion = staged(client, folder)
    record = client.app.state.service.promotions._find(promotion)
    record.objections = ["rank-1 falls by 0.100; at most 0.02 is allowed"]
    refused = post(client, promotion, "activate")
    assert refused.status_code == 409
    assert "rank-1 falls" in refused.json()["error"]["message"]
    assert post(client, promotion, "activate", force=True).status_code == 200


def report(rank1, eer, overlap=0.9):
    scores = [
        None if value is None else {"rank1": value, "eer": error} for value, error in zip(rank1, eer, strict=True)
    ]
    return {"before": scores[0], "after": scores[1], "overlap": {"10": overlap}, "sample": 100}


def test_limits_are_kept():
    limits = Settings(bundle="x")
    assert objections(report((0.9, 0.95), (0.1, 0.05)), limits) == []
    assert "rank-1" in objections(report((0.9, 0.8), (0.1, 0.1)), limits)[0]
    assert "EER" in objections(report((0.9, 0.9), (0.1, 0.2)), limits)[0]
    assert "overlap" in objections(report((None, None), (0, 0), 0.1), limits)[0]
    assert objections(report((None, None), (0, 0), 0.5), limits) == []


def test_a_report_measures_labelled_ears(client, new_bundle):
    folder, _ = new_bundle
    for seed in range(4):
        for _ in range(3):
            enrol(client, seed, subject=f"s{seed}", side="left")
    told = state(client, staged(client, folder))["report"]
    assert told["before"] == told["after"]
    assert told["before"]["rank1"] == 1.0
    assert told["before"]["queries"] == 4
    assert np.isfinite(told["thresholds"]["slope"])


def test_a_stored_picture_that_cannot_be_read_is_named_and_needs_force(client, new_bundle, monkeypatch):
    folder, _ = new_bundle
    items = fill(client, 3)
    from index.gallery import Gallery

    real = client.app.state.service.active.gallery_pool.gallery.spaces.pending

    def damaged(*arguments):
        found = real(*arguments)
        return [one._replace(crop=b"damaged") if one.item.id == items[1]["id"] else one for one in found]

    gallery: Gallery = client.app.state.service.active.gallery_pool.gallery
    monkeypatch.setattr(gallery.spaces, "pending", damaged)
    promotion = staged(client, folder)
    assert state(client, promotion)["failed_items"] == [items[1]["id"]]
    assert post(client, promotion, "activate").status_code == 409
    assert post(client, promotion, "activate", force=True).status_code == 200


@pytest.mark.parametrize("bundle", ["/no/such/bundle", "../..", ""])
def test_what_is_no_bundle_is_not_staged(client, bundle):
    answer = client.post("/v1/promotions", json={"bundle": bundle})
    assert 400 <= answer.status_code < 500, answer.text
    assert client.get("/v1/promotions").json() == {"promotions": []}


def test_one_promotion_at_a_time_and_only_from_the_right_state(client, new_bundle):
    folder, _ = new_bundle
    promotion = staged(client, folder)
    assert client.post("/v1/promotions", json={"bundle": str(folder)}).status_code == 409
    assert post(client, promotion, "rollback").status_code == 409
    assert post(client, promotion, "retire").json()["state"] == "cancelled"
    assert post(client, promotion, "activate").status_code == 409
    assert client.get("/v1/promotions/pr_x").status_code == 404
    assert staged(client, folder) != promotion


def test_another_graph_of_the_same_encoder_needs_no_new_vectors(client, bundle_folder, tmp_path):
    import shutil

    from bundle.manifest import read_manifest, write_manifest

    again = shutil.copytree(bundle_folder, tmp_path / "again")
    manifest = read_manifest(again).model_copy(update={"created": "2026-02-02T00:00:00+00:00"})
    told = write_manifest(again, manifest)
    assert told.bundle_id != read_manifest(bundle_folder).bundle_id
    fill(client, 2)
    promotion = staged(client, again)
    assert post(client, promotion, "activate").json()["state"] == "active"
    assert client.get("/health/live").headers["X-Ear-Bundle-Id"] == told.bundle_id
    assert post(client, promotion, "retire").json()["state"] == "retired"
    assert search(client, 1)["hits"][0]["similarity"] == pytest.approx(1.0, abs=1e-4)


def test_a_failed_embedding_is_told_and_leaves_the_old_model_alone(client, new_bundle, monkeypatch):
    folder, _ = new_bundle
    fill(client, 2)

    def broken(*arguments):
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(serve.lifecycle.promotion, "measure_promotion", broken)
    promotion = start(client, folder)
    until(lambda: state(client, promotion)["state"] == "failed")
    assert state(client, promotion)["error"] == "the disk is gone"
    assert search(client, 1)["hits"]
    assert len(client.get("/v1/models").json()["data"]) == 1


def test_without_a_gallery_there_is_nothing_to_promote(serve, new_bundle):
    with serve(gallery=None) as client:
        assert client.post("/v1/promotions", json={"bundle": str(new_bundle[0])}).status_code == 404


def test_the_worker_and_a_caller_may_save_at_once(tmp_path):
    """The worker tells that all is ready while somebody activates: one file, written whole each time."""
    record = PromotionRecord(state="ready", **{name: "x" for name in IDENTITIES})
    write_ledger(tmp_path, Ledger(promotions=[record]))
    promotions = serve.lifecycle.promotion.Promotions(tmp_path, None, None)
    (record,) = promotions._ledger.promotions
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: promotions._save(record), range(40)))
    assert read_ledger(tmp_path).promotions == [record]
