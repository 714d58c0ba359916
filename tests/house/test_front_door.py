"""The one command: its list of verbs, its exit statuses, its one-line errors."""

import pytest

import ear_teacher


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
