"""`ear-teacher call`: the service from the shell."""

import io
import json

import pytest
from PIL import Image

import ear_teacher
from tests.serve.conftest import png


@pytest.fixture
def call(live, capsys):
    def run(*arguments, status=0):
        assert ear_teacher.main(["call", "--url", live, *map(str, arguments)]) == status
        told = capsys.readouterr()
        return told.out if status == 0 else told.err

    return run


@pytest.fixture
def ear_file(tmp_path):
    path = tmp_path / "ear.png"
    path.write_bytes(png(201))
    return path


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_an_ear_from_enrolment_to_deletion(call, ear_file, tmp_path):
    item = json.loads(call("enrol", ear_file, "--subject", "shell-anna", "--side", "left", "--tag", "x", "--tag", "y"))
    assert item["tags"] == ["x", "y"]
    assert f"shell-anna  {item['id']}" in call("search", ear_file, "--side", "left", "--subject", "shell-anna")
    assert json.loads(call("search", ear_file, "--json", "-k", "1"))["hits"][0]["rank"] == 1
    assert item["id"] in call("items", "--subject", "shell-anna")
    assert json.loads(call("change", item["id"], "--source", "camera"))["source"] == "camera"
    assert json.loads(call("item", item["id"]))["source"] == "camera"
    call("image", item["id"], "-o", tmp_path / "stored.png")
    assert size_of(tmp_path / "stored.png") == (160, 192)
    told = json.loads(call("explain", ear_file, item["id"], "-o", tmp_path / "why"))
    assert told["similarity"] > 0.99
    assert len(list((tmp_path / "why").glob("*.png"))) == 10
    assert json.loads(call("delete-subject", "shell-anna")) == {"deleted": 1}
    assert "no item" in call("delete", item["id"], status=2)


def test_pictures_and_vectors(call, ear_file, tmp_path, monkeypatch):
    short, full = json.loads(call("embed", ear_file)), json.loads(call("--full", "embed", ear_file, "--include", "mu"))
    assert short["embedding"][-1] == "… 1024 in all"
    assert len(full["mu"]) == 1024
    assert json.loads(call("reconstruct", ear_file, "-o", tmp_path / "again.png"))["psnr_db"] > 10
    call("decode", "1.5", "-2", "-o", tmp_path / "drawn.png")
    for name in ("again.png", "drawn.png"):
        assert size_of(tmp_path / name) == (128, 128)
    assert json.loads(call("verify", ear_file, ear_file, "--sides", "left", "left"))["same"] is True
    stdin = type("Stdin", (), {"buffer": io.BytesIO(png(201))})
    monkeypatch.setattr("sys.stdin", stdin)
    assert json.loads(call("embed", "-", "--box", "1,1,100,100"))["side"] == "unknown"


def test_the_service_is_described(call):
    assert json.loads(call("ready"))["status"] == "ready"
    assert json.loads(call("models"))[0]["state"] == "active"


def test_mistakes_are_one_line(call, tmp_path):
    assert "no such file" in call("embed", tmp_path / "nothing.jpg", status=2).lower()
    (tmp_path / "text.jpg").write_text("I am text")
    assert len(call("embed", tmp_path / "text.jpg", status=2).splitlines()) == 1
