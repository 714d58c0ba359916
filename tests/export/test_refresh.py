"""A refresh as a list of stages: which verbs, with which flags, and which are done already. Runs none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ear_teacher
from export.command_refresh import run_stages, split_flags
from export.errors import OptionError
from export.refresh import RefreshConfig, Stage, remember, stages


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "ears").mkdir()
    return tmp_path / "ears"


def config(data: Path, **given: Any) -> RefreshConfig:
    return RefreshConfig(**{"data": data, "out": data.parent / "out"} | given)


def finish(stage: Stage) -> int:
    assert stage.done is not None
    stage.done.parent.mkdir(parents=True, exist_ok=True)
    stage.done.write_text("{}")
    return 0


def test_every_stage_is_a_verb_that_takes_its_flags(data: Path):
    from export.command_export import _parser as export
    from serve.command_promote import parser as promote
    from training.command_evaluate import build_parser as evaluate
    from training.command_train import build_parser as train

    made = stages(config(data, val=data, precision="fp32", activate=True, force=True, train_flags=("--epochs", "2")))
    for stage, verb in zip(made, (train, evaluate, export, promote), strict=True):
        assert stage.argv[0] in ear_teacher.VERBS
        verb().parse_args(stage.argv[1:])
    assert vars(train().parse_args(made[0].argv[1:]))["epochs"] == 2


def test_a_run_that_stopped_goes_on_where_it_stopped(data: Path, capsys):
    ran: list[str] = []

    def until_export(stage: Stage) -> int:
        ran.append(stage.name)
        return 3 if stage.name == "export" else finish(stage)

    assert run_stages(stages(config(data)), until_export) == 3
    assert "run the same command again" in capsys.readouterr().err
    again: list[str] = []
    assert run_stages(stages(config(data)), lambda stage: again.append(stage.name) or 0) == 0
    assert (ran, again) == (["train", "evaluate", "export"], ["export", "promote"])
    assert "[1/4] train: done before" in capsys.readouterr().out


def test_training_that_was_interrupted_is_resumed(data: Path):
    last = data.parent / "out" / "train" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    assert stages(config(data))[0].argv == ("train", "--resume", str(last))


def test_a_variant_that_the_gate_refused_does_not_stop_the_others(data: Path):
    ran: list[str] = []

    def refusing(stage: Stage) -> int:
        ran.append(stage.name)
        return 0 if stage.done is None else finish(stage) or int(stage.name == "export")

    assert run_stages(stages(config(data)), refusing) == 0
    assert ran[-1] == "promote"


def test_a_promotion_that_is_refused_is_the_status_of_it_all(data: Path):
    assert run_stages(stages(config(data, skip=("train", "evaluate", "export"))), lambda stage: 1) == 1


def test_stages_are_left_out_and_ended_early(data: Path):
    assert [one.name for one in stages(config(data, skip=("evaluate",), until="export"))] == ["train", "export"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"skip": ("tain",)}, "tain"),
        ({"until": "now"}, "now"),
        ({"force": True}, "--force"),
        ({"train_flags": ("--out", "x")}, "--out"),
        ({"data": Path("/no/such/ears")}, "/no/such/ears"),
    ],
)
def test_what_cannot_work_is_refused_by_name(data: Path, given: dict, named: str):
    with pytest.raises(OptionError, match=named):
        RefreshConfig(**{"data": data, "out": data.parent / "out"} | given)


def test_a_folder_holds_one_training(data: Path):
    remember(config(data, train_flags=("--epochs", "2")))
    remember(config(data, train_flags=("--epochs", "2"), activate=True))
    with pytest.raises(OptionError, match="train_flags"):
        remember(config(data))


def test_flags_after_two_dashes_are_trainings():
    assert split_flags(["--data", "d", "--", "--epochs", "2"]) == (["--data", "d"], ("--epochs", "2"))
    assert split_flags(["--data", "d"]) == (["--data", "d"], ())


def test_a_dry_run_says_all_and_leaves_nothing(data: Path, capsys):
    out = data.parent / "out"
    assert ear_teacher.main(["refresh", "--data", str(data), "--out", str(out), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert all(f"ear-teacher {verb} " in told for verb in ("train", "evaluate", "export", "promote"))
    assert not out.exists()
