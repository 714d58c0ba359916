"""`ear-teacher eigenears`: its files and what it says."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import ear_teacher
from tests.training.conftest import write_ears
from tests.training.shapes import MICRO
from training.checkpoint import Checkpoint, write_checkpoint
from training.networks.vae import EarVAE


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.ckpt"
    write_checkpoint(path, Checkpoint(MICRO, EarVAE(MICRO).state_dict()))
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    write_ears(folder, range(12), "train_teacher.npy")
    write_ears(folder, range(12, 24), "val_teacher.npy")
    return folder


def test_command_draws_strips_sheet_variance_and_a_table(checkpoint, people, tmp_path, capsys):
    out = tmp_path / "eigenears"
    assert ear_teacher.main(["eigenears", str(checkpoint), "--data", str(people), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "components are anatomy" in said
    names = {path.name for path in out.iterdir()}
    assert {f"pc_{n}.png" for n in range(1, 17)} < names
    assert {"eigenears_grid.png", "explained_variance.png", "eigenears.csv", "eigenears.json"} < names
    with Image.open(out / "pc_1.png") as strip:
        assert strip.size == (7 * 32, 32)
    with (out / "eigenears.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    shares = np.array([float(row["variance_share"]) for row in rows])
    assert (np.diff(shares) <= 0).all()
    assert float(rows[-1]["up_to"]) == pytest.approx(shares.sum(), abs=1e-3)
    assert set(rows[0]) == {"component", "variance_share", "up_to", "shape_r2", "appearance_r2"}
    assert len(json.loads((out / "eigenears.json").read_text())["components"]) == 16


def test_data_without_landmarks_says_that_anatomy_is_not_measured(checkpoint, people, tmp_path, capsys):
    (tmp_path / "ears").mkdir()
    for path in sorted(people.glob("s1*.png")):
        (tmp_path / "ears" / path.name).write_bytes(path.read_bytes())
    flags = ["--data", str(tmp_path / "ears"), "--out", str(tmp_path / "out"), "--components", "3", "--crop", "none"]
    assert ear_teacher.main(["eigenears", str(checkpoint), *flags]) == 0
    shown = capsys.readouterr().out
    assert "components are light, skin or pose" in shown
    assert "not measured: the pictures have no landmarks" in shown
    with (tmp_path / "out" / "eigenears.csv").open() as stream:
        assert "appearance_r2" in next(csv.reader(stream))
    assert len(list((tmp_path / "out").glob("pc_*.png"))) == 3


def test_no_components_names_the_flag(checkpoint, people, capsys):
    assert ear_teacher.main(["eigenears", str(checkpoint), "--data", str(people), "--components", "0"]) == 2
    assert "--components 0" in capsys.readouterr().err
