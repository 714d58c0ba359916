"""`ear-teacher call`: the service from the shell."""

import io
import json

import pytest
from PIL import Image

import ear_teacher
from client.gallery_models import Import
from tests.serve.conftest import encoded, png, write_source
from tests.serve.test_landmarks import photo


def caller(address, capsys):
    def run(*arguments, status=0):
        assert ear_teacher.main(["call", "--url", address, *map(str, arguments)]) == status
        run.told = capsys.readouterr()
        return run.told.err if status == 2 else run.told.out

    return run


@pytest.fixture
def call(live, capsys):
    return caller(live, capsys)


@pytest.fixture
def call_finder(finding_live, capsys):
    """The service with a gallery of its own, that finds ears in photos."""
    return caller(finding_live, capsys)


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


def test_several_ears_are_enrolled_and_their_neighbours_found(call, ear_file, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "labels.json").write_text('[{"subject": "shell-many", "side": "left"}, {}, {"subject": "shell-many"}]')
    other = tmp_path / "other.png"
    other.write_bytes(png(202))
    told = call("enrol-many", ear_file, tmp_path / "broken.png", other, "--labels", tmp_path / "labels.json")
    assert [line.split()[0] for line in told.splitlines()[:3]] == ["201", "400", "201"]
    assert '"failed": 1' in told
    item, twin = told.splitlines()[0].split()[2], told.splitlines()[2].split()[2]
    assert twin in call("near", item, "--subject", "shell-many")
    assert item not in call("near", item, "--subject", "shell-many")
    assert json.loads(call("vectors", item))["embedding"][-1] == "… 1024 in all"
    assert json.loads(call("delete-subject", "shell-many")) == {"deleted": 2}


def test_pictures_and_vectors(call, ear_file, tmp_path, monkeypatch):
    short, full = json.loads(call("embed", ear_file)), json.loads(call("--full", "embed", ear_file, "--include", "mu"))
    assert short["embedding"][-1] == "… 1024 in all"
    assert len(full["mu"]) == 1024
    assert json.loads(call("reconstruct", ear_file, "-o", tmp_path / "again.png"))["psnr_db"] > 10
    call("decode", "1.5", "-2", "-o", tmp_path / "drawn.png")
    for name in ("again.png", "drawn.png"):
        assert size_of(tmp_path / name) == (128, 128)
    assert json.loads(call("verify", ear_file, ear_file, "--threshold", "0.9"))["same"] is True
    assert json.loads(call("verify", ear_file, ear_file))["reason"].startswith("no verdict: the bundle's calibration")
    assert json.loads(call("calibrations")) == []
    stdin = type("Stdin", (), {"buffer": io.BytesIO(png(201))})
    monkeypatch.setattr("sys.stdin", stdin)
    assert json.loads(call("embed", "-", "--box", "1,1,100,100"))["side"] == "unknown"


def test_the_service_is_described(call):
    assert json.loads(call("ready"))["status"] == "ready"
    (model,) = json.loads(call("models"))
    assert model["state"] == "active"
    assert json.loads(call("models", model["id"])) == model
    assert call("metrics").startswith("# HELP")


def test_persons_are_listed_with_their_ears(call, ear_file):
    ids = [json.loads(call("enrol", ear_file, "--subject", "shell-berta", "--side", "left"))["id"] for _ in range(2)]
    asked = ("search", ear_file, "--side", "left", "--subject", "shell-berta", "--group", "subject")
    first, *hits = call(*asked, "--per-subject", "2").splitlines()
    assert first.split() == ["1", "1.000", "shell-berta"]
    assert sorted(line.split()[-1] for line in hits) == sorted(ids)
    assert len(json.loads(call(*asked, "--json"))["subjects"][0]["hits"]) == 1
    pairs = call("duplicates", "--threshold", "0.9999").splitlines()
    assert any(line.split()[1:3] == ids and line.endswith("same picture") for line in pairs)
    call("delete-subject", "shell-berta")
    assert "nothing found" in call(*asked)


def test_ears_are_found_in_a_photo(call_finder, tmp_path):
    file = tmp_path / "photo.png"
    file.write_bytes(encoded(photo()))
    assert json.loads(call_finder("landmarks", file))["ears"][0]["box"] == pytest.approx([100, 20, 220, 220])
    assert len(json.loads(call_finder("landmarks", file, "--threshold", "0.01"))["ears"]) == 2
    assert json.loads(call_finder("embed", file, "--detect", "--include", "eigenears"))["side"] == "right"
    assert "Too few" in json.loads(call_finder("drift", "--redraw", "0"))["advice"][0]


def test_a_source_is_imported_and_the_gallery_exported(call_finder, tmp_path, monkeypatch):
    write_source(tmp_path / "ears", first=400)
    monkeypatch.chdir(tmp_path)
    done = json.loads(call_finder("import", "ears"))
    assert (done["state"], done["enrolled"], done["failed"]) == ("done", 4, 1)
    assert "4 enrolled, 0 known, 1 failed" in call_finder.told.err
    again = json.loads(call_finder("import", "ears", "--no-wait"))
    assert json.loads(call_finder("imports", again["id"], "--wait"))["known"] == 4
    listed = call_finder("imports").splitlines()[-1]
    assert listed.split()[:2] == [again["id"], "done"]
    assert listed.endswith(str(tmp_path / "ears"))
    copied = json.loads(call_finder("export", "copy", "--kind", "backup"))
    assert (copied["kind"], copied["target"]) == ("backup", str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "gallery.sqlite").is_file()
    assert "give a new folder" in call_finder("export", "copy", status=2)
    assert "neither a file nor a folder" in call_finder("import", "nowhere", status=2)
    assert "begin it again" in call_finder("imports", "im_0", status=2)


@pytest.mark.parametrize(("state", "status"), [("done", 0), ("failed", 1), ("stopped", 1), ("running", 0)])
def test_an_import_that_did_not_come_to_its_end_is_status_1(call, monkeypatch, state, status):
    answer = Import("im_1", "/ears", state, 1, 0, 0, 0, [], None)
    monkeypatch.setattr("client.client.EarTeacher.import_state", lambda ears, import_id: answer)
    assert json.loads(call("imports", "im_1", status=status))["state"] == state


def test_mistakes_are_one_line(call, tmp_path):
    assert "no such file" in call("embed", tmp_path / "nothing.jpg", status=2).lower()
    (tmp_path / "text.jpg").write_text("I am text")
    assert len(call("embed", tmp_path / "text.jpg", status=2).splitlines()) == 1
