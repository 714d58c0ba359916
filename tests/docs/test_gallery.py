"""docs/gallery.md: its calls against a running service, and every command of its table, beside it or after it."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

import ear_teacher
from serve.settings import Settings
from tests.serve.conftest import live_server
from tests.serve.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gallery.md").read_text()
CALLS = [
    line for code in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in code.splitlines()
]
TABLE = re.findall(r"^\| `(ear-teacher gallery (\w+) [^`]*)` \|.*\| (yes|no) \|$", PAGE, re.MULTILINE)


@pytest.fixture
def pictures(tmp_path):
    """Twelve of the demo's ears."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in sorted((ROOT / "demo" / "ears" / "crops").rglob("*.jpg"))[:12]:
        shutil.copy(path, folder)
    return folder


def test_the_table_tells_every_command():
    from index.command_gallery import RUN

    assert {verb for _, verb, _ in TABLE} == set(RUN)


def test_what_the_page_shows_works(tmp_path, pictures, monkeypatch, capsys):
    write_tiny_bundle(tmp_path / "bundle")
    gallery = tmp_path / "gallery"

    def run(line, target=""):
        words = {"SOURCE": str(pictures), "GALLERY": str(gallery), "TARGET": str(target)}
        assert ear_teacher.main([words.get(word, word) for word in shlex.split(line, comments=True)[1:]]) == 0, line

    with live_server(Settings(bundle=tmp_path / "bundle", gallery=gallery, threads=1)) as address:
        monkeypatch.setenv("EAR_TEACHER_URL", str(address))
        for line in CALLS:
            run(line, tmp_path / "by-the-service")
        for line, verb, beside in TABLE:
            if beside == "yes":
                run(line, tmp_path / verb)
    capsys.readouterr()
    run("ear-teacher gallery list GALLERY --json --limit 1")
    chosen = f"--id {json.loads(capsys.readouterr().out)['id']}"
    for line, verb, beside in TABLE:
        if beside == "no" and verb not in ("restore", "calibrate"):  # that one needs more people than these
            run(line.replace("--id … --subject …", chosen))
    assert "1 items deleted" in capsys.readouterr().out
    for kept in ("backup", "export"):
        run(f"ear-teacher gallery restore {tmp_path / kept}-again {tmp_path / kept}")
    assert capsys.readouterr().out.count("12 items restored") == 2
