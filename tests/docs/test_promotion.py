"""docs/promotion.md, command after command: a promotion there and back, drift, and a refresh of the tiny preset.

Training is shortened to one step and few pictures; the limits of the gate and of the evaluation are the real ones.
"""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from index.items import NewItem
from serve.settings import Settings
from tests.serve.conftest import live_server, png
from tests.serve.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promotion.md").read_text()
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRAINING = "--preset tiny --random-init --perceptual-weight 0 --fast-dev-run --num-workers 0"


@pytest.fixture
def few_ears(tmp_path):
    """Two metadata.csv of a few people each, to train on and to judge by, with the pictures they name."""
    with (ROOT / "demo" / "ears" / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    made = {}
    for split in ("train", "val"):
        people = sorted({row["subject"] for row in rows if row["split"] == split})[:6]
        of = {person: [row for row in rows if row["subject"] == person][:4] for person in people}
        chosen = [row | {"path": str(ROOT / "demo" / "ears" / row["path"])} for some in of.values() for row in some]
        made[split] = tmp_path / split / "metadata.csv"
        made[split].parent.mkdir()
        with made[split].open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(chosen)
    return made


def test_the_page_names_every_stage_and_limit():
    from export.refresh import STAGES

    limits = [name for name in Settings.model_fields if name.startswith("promotion_")]
    assert [name for name in limits if f"`{name}`" not in PAGE] == []
    assert [name for name in STAGES if f"`{name}`" not in PAGE] == []


@pytest.mark.slow
def test_every_command_works(tmp_path, few_ears):
    write_tiny_bundle(tmp_path / "old", seed=1)
    write_tiny_bundle(tmp_path / "new", seed=3)
    gallery = tmp_path / "gallery"
    with live_server(Settings(bundle=tmp_path / "old", gallery=gallery, threads=1)) as address:
        service = address.app.state.service
        random = np.random.default_rng(0).normal(size=(80, service.active.engine.model.latent_dim)).astype(np.float32)
        service.active.gallery_pool.gallery.enrol(
            [NewItem(png(n), one, one, subject=f"s{n // 2}", side="left") for n, one in enumerate(random)]
        )
        binaries = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EAR_TEACHER_")}
        environment |= {"EAR_TEACHER_URL": address, "NEW_BUNDLE": str(tmp_path / "new"), "GALLERY": str(gallery)}
        environment |= {"DATA": str(few_ears["train"]), "VAL": str(few_ears["val"]), "OUT": str(tmp_path / "refresh")}
        environment |= {"PATH": binaries, "TRAINING": TRAINING, "OMP_NUM_THREADS": "2"}
        script = "set -eo pipefail\n" + "\n".join(FENCE.findall(PAGE))
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        for stage in ("train", "evaluate", "export"):
            assert re.search(rf"\] {stage}: done before", done.stdout)
        (model,) = service.models.all()
        assert model.engine.model.folder == tmp_path / "refresh" / "bundle"
        assert service.active.required_pool.gallery.count() == 80
