"""docs/operations.md and docs/security.md tell what the code does: settings, metrics, scopes, key commands."""

import re
from pathlib import Path
from typing import get_args

import pytest

import ear_teacher
from serve.http.api_keys import Scope
from serve.settings import Settings, settings_table

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
SECURITY = (DOCS / "security.md").read_text()


def test_the_table_of_settings_is_the_settings():
    kept = OPERATIONS.partition("|---|---|---|\n")[2].partition("<!-- /settings -->")[0]
    assert kept == settings_table(), "write it anew: python -c 'from serve.settings import *; print(settings_table())'"


def test_every_metric_of_the_page_is_exported():
    from serve.lifecycle.gauges import __file__ as gauges
    from serve.observability.metrics import __file__ as metrics

    source = Path(gauges).read_text() + Path(metrics).read_text()
    names = set(re.findall(r"`ear_teacher_([a-z_0-9]+)`", OPERATIONS))
    assert len(names) > 10
    assert [name for name in names if f'{name.removesuffix("_total")}"' not in source] == []


def test_every_scope_is_told():
    for scope in get_args(Scope):
        assert f"| `{scope}` |" in SECURITY


def test_the_commands_for_keys_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (line,) = [line for line in SECURITY.splitlines() if line.startswith("ear-teacher keys")]
    assert ear_teacher.main(line.split()[1:]) == 0
    assert capsys.readouterr().out.startswith("ear_")


@pytest.mark.parametrize("page", [OPERATIONS, SECURITY])
def test_flags_of_the_page_exist(page):
    from serve.command_serve import parser

    known = parser().format_help()
    flags = set(re.findall(r"ear-teacher serve[^\n]*", page))
    for line in flags:
        for flag in re.findall(r"--[a-z-]+", line):
            assert flag in known, flag
    assert set(Settings.model_fields) >= {"api_key_file", "rate_limit"}
