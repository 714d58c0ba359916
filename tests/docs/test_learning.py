"""The guides of training, eigenears and detection: their commands run as written, on few pictures.

Changed: runs stop after a step or two, and an export compares fewer crops in one precision.
Left out: `weights`, which needs internet.
"""

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import ear_teacher

ROOT = Path(__file__).parents[2]
EARS = ROOT / "demo" / "ears"
FENCE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PEOPLE = {"train": 12, "val": 3}
LOOP = {"$labels": "1.0", "$start": "teacher"}  # one turn of the shell's loops
SHORTER = {
    "train": ["--fast-dev-run"],
    "export": ["--parity-crops", "8", "--precision", "fp32"],
    "detector train": ["--max-steps", "2", "--crops-per-step", "4", "--scenes", "1"],
    "detector evaluate": ["--limit", "4"],
    "detector export": ["--photos", "3"],
}


def fences(guide, language):
    return [code for kind, code in FENCE.findall((ROOT / "docs" / f"{guide}.md").read_text()) if kind == language]


def commands(guide):
    """The `ear-teacher` lines of a guide, as words."""
    text = "\n".join(fences(guide, "bash")).replace("\\\n", " ")
    for variable, value in LOOP.items():
        text = text.replace(variable, value)
    found = [shlex.split(line, comments=True)[1:] for line in text.splitlines() if "ear-teacher " in line]
    return [words for words in found if words[0] != "weights"]


def run(guide):
    shown = commands(guide)
    assert shown
    for words in shown:
        verb = " ".join(words[:2]) if words[0] == "detector" else words[0]
        assert ear_teacher.main([*words, *SHORTER.get(verb, [])]) == 0, words


def few_people():
    """Rows of the demo's table of a few people of each split, two pictures each."""
    with (EARS / "metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = {split: list(dict.fromkeys(row["subject"] for row in rows if row["split"] == split)) for split in PEOPLE}
    kept = {subject for split, count in PEOPLE.items() for subject in chosen[split][:count]}
    return [row for row in rows if row["subject"] in kept and row["path"][-5] in "01"]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A reader's folder: few ears under the names that the guides use, and the pages' commands run up to the models."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("ears", "demo/ears"):
        (folder / name).mkdir(parents=True)
        (folder / name / "crops").symlink_to(EARS / "crops")
        write_tables(folder / name)
    (folder / "demo" / "bundle").symlink_to(ROOT / "demo" / "bundle")
    (folder / "photo.jpg").symlink_to(EARS / few_people()[0]["path"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("training")
        (folder / "runs" / "ears").symlink_to(folder / "runs" / "mine")
        (folder / "bundles").mkdir()
        (folder / "bundles" / "ears").symlink_to(folder / "runs" / "mine" / "bundle")
        yield folder


def write_tables(folder):
    rows = few_people()
    for name in ("metadata.csv", "scenes.csv"):
        with (folder / name).open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    for split in PEOPLE:
        some = [row for row in rows if row["split"] == split]
        columns = {"image_paths": [row["path"] for row in some], "subjects": [row["subject"] for row in some]}
        columns |= {"bboxes": [[float(row[side]) for side in ("x1", "y1", "x2", "y2")] for row in some]}
        columns |= {"sides": [row["side"] for row in some], "landmarks": landmarks(some)}
        np.save(folder / f"{split}_teacher.npy", columns)  # type: ignore[arg-type]


def landmarks(rows):
    """(N, K, 2) float32."""
    names = [name[:-2] for name in rows[0] if name.endswith("_x")]
    return np.array([[[row[f"{name}_{axis}"] for axis in "xy"] for name in names] for row in rows], np.float32)


@pytest.mark.soak
def test_the_training_guide_gives_a_model_that_its_python_reads(here):
    names: dict = {}
    for code in fences("training", "python"):
        exec(compile(code, "docs/training.md", "exec"), names)
    assert names["mu"].shape == (2, 1024)
    assert names["reconstruction"].shape == (2, 3, 128, 128)


@pytest.mark.soak
def test_the_guide_of_eigenears_draws_its_strips(here):
    run("eigenears")
    assert {"pc_1.png", "pc_16.png", "eigenears_grid.png"} <= {
        path.name for path in (here / "runs/mine/eigenears").iterdir()
    }


@pytest.mark.soak
def test_the_guide_of_detection_runs_from_training_to_a_bundle_and_in_python(here):
    run("detection")
    for code in fences("detection", "python"):
        exec(compile(code, "docs/detection.md", "exec"), {})
    assert (here / "bundles/ears/landmarks.onnx").is_file()


def test_every_verb_of_the_guides_is_one():
    for guide in ("training", "eigenears", "detection"):
        assert {words[0] for words in commands(guide)} <= set(ear_teacher.VERBS)
