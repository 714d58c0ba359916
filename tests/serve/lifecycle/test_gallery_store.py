"""Where a service keeps its gallery: settings that contradict each other, and two processes that share one gallery."""

import json
import threading
from contextlib import ExitStack

import httpx
import pytest

from serve.errors import ConfigurationError
from serve.lifecycle.gallery_store import check_stores, open_store
from serve.settings import Settings
from tests.serve.conftest import enrol, png
from tests.serve.test_command_serve import serve as start
from tests.serve.test_command_serve import serving
from tests.stores import milvus, new_database, postgres

DATABASE = "postgresql://ears:secret@db/ears"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"milvus_uri": "http://milvus:19530"}, "without EAR_TEACHER_DATABASE_URL"),
        ({"database_url": DATABASE}, "needs --gallery FOLDER"),
        ({"database_url": "mysql://ears:secret@db/ears", "gallery": "cache"}, "begins with 'mysql'"),
    ],
)
def test_settings_that_contradict_each_other_are_named(bundle_folder, given, words):
    with pytest.raises(ConfigurationError, match=words) as refused:
        check_stores(Settings(bundle=bundle_folder, **given))
    assert "secret" not in str(refused.value)


def test_folder_of_an_embedded_gallery_is_not_taken_for_a_shared_one(bundle_folder, tmp_path):
    (tmp_path / "gallery.sqlite").touch()
    with pytest.raises(ConfigurationError, match="gallery of one process"):
        check_stores(Settings(bundle=bundle_folder, database_url=DATABASE, gallery=tmp_path))


@pytest.mark.parametrize("given", [{}, {"gallery": "ears"}, {"database_url": DATABASE, "milvus_uri": "http://m:1"}])
def test_settings_that_go_together_are_taken(bundle_folder, given):
    check_stores(Settings(bundle=bundle_folder, **given))


def test_how_a_gallery_searches_can_be_set(bundle_folder, tmp_path):
    given = {"neighbours": "hnsw", "exact_items": 9, "neighbours_memory_mb": 2, "recall_target": 0.9}
    with open_store(Settings(bundle=bundle_folder, gallery=tmp_path, **given), 8, "sp_" + "a" * 32) as gallery:
        config = gallery._live.index(None)._config
    assert (config.neighbours, config.exact_items, config.memory_bytes, config.recall_target) == (
        "hnsw",
        9,
        2 << 20,
        0.9,
    )


@pytest.fixture(scope="module")
def postgres_server():
    with postgres() as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("neighbours", ["faiss", "milvus"])
def test_ear_enrolled_through_one_process_is_found_through_the_other(
    neighbours, postgres_server, bundle_folder, tmp_path
):
    url = new_database(postgres_server).replace("+psycopg", "")
    with ExitStack() as stack:
        audit = {"EAR_TEACHER_AUDIT_LOG": str(tmp_path / "lines.jsonl"), "EAR_TEACHER_AUDIT_KEY": "one for all"}
        shared = {"EAR_TEACHER_DATABASE_URL": url, **audit}
        folders = [("--gallery", tmp_path / name) for name in ("one", "two")]
        if neighbours == "milvus":
            shared["EAR_TEACHER_MILVUS_URI"] = stack.enter_context(milvus(tmp_path / "milvus"))
            folders = [(), ()]
        one, two = [
            httpx.Client(
                base_url=stack.enter_context(serving("--bundle", bundle_folder, *folder, **shared))[1], timeout=60
            )
            for folder in folders
        ]
        stack.callback(two.close)
        stack.callback(one.close)
        item = enrol(one, 3, subject="anna", side="left")["id"]
        hits = two.post("/v1/search?side=left", content=png(seed=3)).json()
        assert item in str(hits)
        threads = [
            threading.Thread(target=enrol_some, args=(client, first)) for client, first in ((one, 10), (two, 20))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [client.get("/health/ready").status_code for client in (one, two)] == [200, 200]
        assert two.delete(f"/v1/gallery/items/{item}").status_code == 204
        assert item not in one.post("/v1/search?side=left&k=50", content=png(seed=3)).text
        told = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
        assert {line["action"] for line in told if item in json.dumps(line)} == {"enrol", "search", "delete"}
        assert len({line["subject"] for line in told if line["action"] == "enrol"}) == 11
        listed = [{one["id"] for one in client.get("/v1/gallery/items").json()["items"]} for client in (one, two)]
        assert listed[0] == listed[1]
        assert len(listed[0]) == 10
        refused = one.post("/v1/promotions", json={"bundle": str(bundle_folder)})
        assert refused.status_code == 404
        assert "share" in refused.text


def enrol_some(client, first):
    for seed in range(first, first + 5):
        enrol(client, seed, subject=f"s{seed}")


@pytest.mark.slow
def test_database_that_does_not_answer_keeps_the_service_from_starting_in_one_line(bundle_folder, tmp_path):
    url = f"postgresql://ears:secret@/ears?host={tmp_path}"
    process = start("--bundle", bundle_folder, "--gallery", tmp_path / "cache", EAR_TEACHER_DATABASE_URL=url)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2
    last = told.strip().splitlines()[-1]
    assert "cannot be written or reached" in last
    assert "secret" not in told
