"""`make gpu-check`: without a GPU every part says why it was skipped; one failure ends no other part."""

from pathlib import Path

import pytest

from bench import gpu_check
from bench.gpu_check import markdown, run
from bench.gpu_parts import PARTS
from bundle.errors import RuntimeUnavailable
from bundle.tensorrt.cuda import gpu_present


def part(rows=(), error=None):
    def act():
        if error:
            raise error
        return list(rows)

    return act


@pytest.mark.skipif(gpu_present(), reason="on a GPU it would measure for minutes")
def test_without_a_gpu_every_part_says_in_one_sentence_why_it_was_skipped(capsys, tmp_path):
    assert gpu_check.main(["--markdown", str(tmp_path / "gpu.md")]) == 0
    table = (tmp_path / "gpu.md").read_text()
    assert table in capsys.readouterr().out
    for name in PARTS:
        (line,) = [line for line in table.splitlines() if line.startswith(f"| **{name}** |")]
        assert "skipped: " in line
        assert "GPU" in line or "installed" in line
    assert table.startswith("no GPU; ")


def test_a_part_that_fails_does_not_end_the_others(monkeypatch, capsys):
    parts = {
        "good": part([("cosine", "1.0")]),
        "bad": part(error=AssertionError("cosine is\n0.2")),
        "absent": part(error=RuntimeUnavailable("not installed")),
    }
    monkeypatch.setattr(gpu_check, "PARTS", parts)
    assert gpu_check.main([]) == 1
    out = capsys.readouterr().out
    assert "| **good** | passed |" in out
    assert "| | cosine | 1.0 |" in out
    assert "| **bad** | FAILED: AssertionError: cosine is 0.2 |" in out
    assert "| **absent** | skipped: not installed |" in out


def test_parts_past_the_budget_are_not_begun(monkeypatch):
    monkeypatch.setattr(gpu_check, "BUDGET_S", -1.0)
    (outcome,) = run([("late", part(error=AssertionError()))], lambda line: None)
    assert outcome.verdict.startswith("skipped: ")
    assert "late" in markdown([outcome])


def test_make_runs_it():
    assert "-m bench.gpu_check" in (Path(__file__).parents[2] / "Makefile").read_text()
