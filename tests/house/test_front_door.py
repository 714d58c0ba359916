"""The one command: its list of verbs, its exit statuses, its one-line errors."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ear_teacher
from common.provenance import commit

ROOT = Path(__file__).parents[2]


def test_help_lists_every_verb(capsys):
    assert ear_teacher.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ear_teacher.VERBS)


def test_an_unknown_verb_names_itself_and_the_known_ones(capsys):
    assert ear_teacher.main(["fly"]) == 2
    assert "no verb 'fly'" in (err := capsys.readouterr().err)
    assert "train" in err


def test_a_users_mistake_is_one_line_and_status_2(monkeypatch, capsys):
    class Mistake(Exception):
        is_user_error = True

    def main(argv):
        raise Mistake("no such folder: 'ears'; give a folder of pictures")

    monkeypatch.setitem(ear_teacher.VERBS, "stub", ear_teacher.Verb("tests.house.test_front_door", "stub"))
    monkeypatch.setattr("tests.house.test_front_door.main", main, raising=False)
    assert ear_teacher.main(["stub"]) == 2
    assert capsys.readouterr().err == "ear-teacher stub: no such folder: 'ears'; give a folder of pictures\n"


def test_a_bug_is_not_dressed_up_as_a_users_mistake(monkeypatch):
    monkeypatch.setitem(ear_teacher.VERBS, "stub", ear_teacher.Verb("no_such_module_anywhere", "stub"))
    with pytest.raises(ModuleNotFoundError):
        ear_teacher.main(["stub"])


def test_version_tells_the_version_the_commit_and_what_it_runs_on(capsys):
    assert ear_teacher.main(["--version"]) == 0
    out = capsys.readouterr().out
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.match(rf"ear-teacher {re.escape(version)} \(commit [0-9a-f]{{12}}\+?\)\nPython 3\.", out)
    assert re.search(r"^onnxruntime \d", out, re.MULTILINE)


def test_an_image_without_git_tells_the_commit_it_was_built_from(monkeypatch):
    monkeypatch.setenv("EAR_TEACHER_COMMIT", "0123456789ab")
    assert commit() == "0123456789ab"


def test_version_and_help_import_no_room():
    code = (
        "import sys, ear_teacher; ear_teacher.main(['--version']); ear_teacher.main(['--help']); "
        "print(sorted({'bundle', 'measure', 'training', 'export', 'index', 'serve', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_a_verb_lacks_is_named_with_the_extra_that_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(ear_teacher.VERBS, "stub", ear_teacher.Verb("tests.house.test_front_door", "stub"))
    monkeypatch.setitem(sys.modules, "torch", None)

    def main(argv):
        import torch  # noqa: F401

    monkeypatch.setattr("tests.house.test_front_door.main", main, raising=False)
    assert ear_teacher.main(["stub"]) == 2
    assert "this needs torch" in (err := capsys.readouterr().err)
    assert "'.[train]'" in err
