"""`ear-teacher promote` against a live service."""

import pytest

import ear_teacher
from serve.settings import Settings
from tests.serve.conftest import live_server, png
from tests.serve.tiny_bundle import write_tiny_bundle


@pytest.fixture
def promote(bundle_folder, tmp_path, capsys):
    with live_server(Settings(bundle=bundle_folder, gallery=tmp_path / "gallery", threads=1)) as address:

        def run(*arguments, status=0):
            assert ear_teacher.main(["promote", *map(str, arguments), "--url", address]) == status
            told = capsys.readouterr()
            return told.out + told.err

        run.address = address
        yield run


def test_a_model_is_staged_activated_taken_back_and_retired(promote, tmp_path, capsys):
    import httpx

    for seed in range(3):
        httpx.post(f"{promote.address}/v1/gallery/items", files={"file": png(seed)}).raise_for_status()
    manifest = write_tiny_bundle(tmp_path / "new", seed=2)
    assert "knows of no promotion" in promote("status", status=2)
    told = promote(tmp_path / "new")
    assert "ready, 3 of 3 ears" in told
    assert "neighbours kept" in told
    assert ": active" in promote("activate")
    assert httpx.get(f"{promote.address}/health/live").headers["X-Ear-Bundle-Id"] == manifest.bundle_id
    assert ": rolled back" in promote("rollback")
    assert ": cancelled" in promote("retire")
    assert ": cancelled" in promote("status")
    assert ": active" in promote(tmp_path / "new", "--activate")
    assert ": retired" in promote("retire")


def test_a_folder_that_is_no_bundle_is_one_line(promote, tmp_path):
    told = promote(tmp_path, status=2)
    assert len(told.splitlines()) == 1
    assert "is not a bundle" in told
