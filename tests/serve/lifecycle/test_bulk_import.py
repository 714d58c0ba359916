"""Bulk import and export over HTTP: beside the traffic, idempotent, and one bad picture harms nobody else's."""

import json
import os
import threading
import time
from types import SimpleNamespace

import pytest

from index.opening import stats
from serve.lifecycle.bulk_import import Imports
from serve.lifecycle.model_registry import ModelRegistry
from tests.serve.conftest import enrol, png, write_source

PATIENCE_S = 60


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "ears", first=0)


def run_import(client, source):
    answer = client.post("/v1/gallery/imports", json={"source": str(source)})
    assert answer.status_code == 202, answer.text
    return until_ended(client, answer.headers["Location"])


def until_ended(client, path):
    end = time.monotonic() + PATIENCE_S
    while (told := client.get(path).json())["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    return told


def test_every_picture_of_a_source_is_enrolled_and_a_broken_one_is_named(client, source):
    told = run_import(client, source)
    assert (told["state"], told["enrolled"], told["known"], told["failed"]) == ("done", 4, 0, 1)
    assert told["failures"][0].startswith("3.png: ")
    found = client.post("/v1/search", content=png(2), params={"side": "left", "k": 1}).json()["hits"]
    assert found[0]["subject"] == "person 1"
    assert found[0]["similarity"] > 0.999
    assert client.get("/v1/gallery/imports").json()["imports"] == [told]


def test_a_folder_that_cannot_be_read_is_named_and_counted_and_ends_nothing(client, tmp_path, monkeypatch):
    for name in ("anna", "berta"):
        (tmp_path / "people" / name).mkdir(parents=True)
        (tmp_path / "people" / name / "1.png").write_bytes(png(len(name)))
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("berta"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    told = run_import(client, tmp_path / "people")
    assert (told["state"], told["enrolled"], told["failed"]) == ("done", 1, 1)
    assert "berta: folder cannot be read" in told["failures"][0]
    assert "Permission denied" in told["failures"][0]


def test_the_audit_log_tells_which_ears_an_import_enrolled_and_names_no_folder(client, source):
    told = run_import(client, source)
    text = (client.app.state.service.settings.gallery / "audit.jsonl").read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line.get("import_id") == told["id"]]
    assert sorted(line["action"] for line in lines) == ["enrol", "import"]
    (began,) = [line for line in lines if line["action"] == "import"]
    assert began["source"] == client.app.state.service.audit.alias(str(source), "source")
    (enrolled,) = [line["items"] for line in lines if line["action"] == "enrol"]
    assert {*enrolled} == {item["id"] for item in client.get("/v1/gallery/items").json()["items"]}
    assert str(source) not in text


def test_importing_again_enrols_only_what_is_new(client, source):
    run_import(client, source)
    (source / "3.png").write_bytes(png(3))
    told = run_import(client, source)
    assert (told["enrolled"], told["known"], told["failed"]) == (1, 4, 0)
    assert client.get("/v1/gallery/items").json()["total"] == 5


def test_an_import_knows_what_was_enrolled_by_itself_before(client, source):
    enrol(client, 0)
    told = run_import(client, source)
    assert (told["enrolled"], told["known"]) == (3, 1)


def test_requests_are_answered_while_an_import_runs_and_a_second_import_waits_its_turn(client, source, monkeypatch):
    go_on, embed = threading.Event(), Imports._embed

    def held(self, space_id, pictures):
        assert go_on.wait(PATIENCE_S)
        return embed(self, space_id, pictures)

    monkeypatch.setattr(Imports, "_embed", held)
    first = client.post("/v1/gallery/imports", json={"source": str(source)})
    second = client.post("/v1/gallery/imports", json={"source": str(source)})
    assert (second.status_code, second.json()["error"]["code"]) == (409, "import_running")
    assert enrol(client, 9, subject="between")["subject"] == "between"
    assert client.get(first.headers["Location"]).json()["state"] == "running"
    go_on.set()
    assert until_ended(client, first.headers["Location"])["enrolled"] == 4


def test_a_model_that_hangs_in_an_import_does_not_keep_the_service_from_ending(serve, source, monkeypatch, caplog):
    held, go_on = threading.Event(), threading.Event()

    def hung(self, space_id, pictures):
        held.set()
        go_on.wait(PATIENCE_S)
        raise RuntimeError("the model came back too late")

    monkeypatch.setattr(Imports, "_embed", hung)
    with serve(drain_s=0.2) as client:
        client.post("/v1/gallery/imports", json={"source": str(source)})
        assert held.wait(PATIENCE_S)
        began = time.monotonic()
    assert time.monotonic() - began < PATIENCE_S / 2
    assert "the import is left" in caplog.text
    go_on.set()
    client.app.state.service.imports._worker.join(PATIENCE_S)


def test_a_staged_model_that_fails_keeps_no_ear_from_being_imported(client, source, monkeypatch):
    class Broken:
        ids = ("sp_other", "bd_other")

        @property
        def framing(self):
            raise RuntimeError("out of memory")

    monkeypatch.setattr(ModelRegistry, "others", lambda self, live: [SimpleNamespace(engine=Broken())])
    assert run_import(client, source)["enrolled"] == 4


def test_what_is_no_source_is_refused_before_anything_begins(client, tmp_path):
    answer = client.post("/v1/gallery/imports", json={"source": str(tmp_path / "nowhere")})
    assert answer.status_code == 400
    assert "neither a file nor a folder" in answer.json()["error"]["message"]
    assert client.get("/v1/gallery/imports").json() == {"imports": []}
    assert client.get("/v1/gallery/imports/im_0").status_code == 404


@pytest.mark.parametrize("kind", ["archive", "backup"])
def test_a_copy_of_the_gallery_is_written_and_never_over_another(client, tmp_path, kind):
    enrol(client, 1, subject="anna")
    asked = {"target": str(tmp_path / "copy"), "kind": kind}
    answer = client.post("/v1/gallery/exports", json=asked)
    assert (answer.status_code, answer.json()["items"]) == (201, 1), answer.text
    if kind == "backup":
        assert stats(tmp_path / "copy")["items"] == 1
    else:
        assert list((tmp_path / "copy").glob("*.parquet"))
    assert client.post("/v1/gallery/exports", json=asked).status_code == 400


def test_a_service_without_a_gallery_says_how_to_get_one(serve, source):
    with serve(gallery=None) as client:
        for path, body in (("imports", {"source": str(source)}), ("exports", {"target": str(source / "x")})):
            answer = client.post(f"/v1/gallery/{path}", json=body)
            assert answer.status_code == 404
            assert "gallery" in answer.json()["error"]["message"]
