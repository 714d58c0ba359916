"""`landmarks.onnx`: exported, judged, added to a bundle, and found by what loads bundles."""

import shutil

import numpy as np
import pytest
import torch

import ear_teacher
from bundle.errors import GoldenMismatch
from bundle.landmarks import OUTPUTS, letterbox
from bundle.landmarks_bundle import check_golden_ears, open_finder
from bundle.manifest import read_manifest, verify_files, write_manifest
from bundle.session import FakeSession
from bundle.verify import verify_bundle
from export.landmarks import _finite, add_landmarks
from export.parity.landmarks_judge import judge_ears
from tests.bundle.bundles import make_bundle
from tests.export.conftest import TINY
from tests.training.detector.shapes import write_photos, write_table
from training.detector.checkpoint import DetectorCheckpoint, write_detector
from training.detector.config import DetectorConfig
from training.detector.detector import EarDetector

NAMES = ("top", "middle", "bottom")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return write_table(folder, write_photos(folder, range(2), "train") + write_photos(folder, range(2, 4), "val"))


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory):
    """Random weights, its heads shaken so that candidates are told apart."""
    torch.manual_seed(3)
    config = DetectorConfig(TINY, 3, coarse_px=160, channels=8, max_ears=2, passes=1)
    detector = EarDetector(config)
    with torch.no_grad():
        detector.first.to_cells.weight.mul_(30)
        detector.second.to_outputs.weight.mul_(10)
    path = tmp_path_factory.mktemp("detector") / "detector.ckpt"
    write_detector(path, DetectorCheckpoint(config, detector.state_dict(), NAMES, {"seed": 3}, {"val_nme": 0.04}))
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A bundle without landmarks, its encoder and decoder made by hand: exporting them is other tests' business."""
    folder = tmp_path_factory.mktemp("bundles") / "plain"
    manifest = make_bundle(folder)
    write_manifest(folder, manifest.model_copy(update={"parity": {"rows": [], "refused": [], "crops": 0}}))
    return folder


@pytest.fixture(scope="module")
def with_landmarks(plain, detector_file, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "found"
    shutil.copytree(plain, folder)
    flags = ["--bundle", str(folder), "--data", str(photos), "--photos", "4", "--threshold", "0.2"]
    assert ear_teacher.main(["detector", "export", str(detector_file), *flags]) == 0
    return folder


def test_a_bundle_with_landmarks_keeps_its_space_and_gets_an_id(plain, with_landmarks):
    before, after = read_manifest(plain), read_manifest(with_landmarks)
    assert after.space_id == before.space_id
    assert after.bundle_id != before.bundle_id
    verify_files(with_landmarks, after)
    (variant,) = [one for one in after.variants if one.graph == "landmarks"]
    assert variant.parity["passed"]
    assert variant.parity["photos"] == 4
    assert after.training["detector"]["landmarks"] == list(NAMES)
    assert "landmarks.onnx" in (with_landmarks / "MODEL_CARD.md").read_text()


def test_the_bundle_verifies(with_landmarks):
    lines = []
    assert verify_bundle(with_landmarks, lambda passed, line: lines.append(line), threads=1)
    assert any(line.startswith("landmarks fp32") for line in lines)


def test_what_is_found_is_what_torch_finds(with_landmarks, detector_file):
    finder = open_finder(with_landmarks, read_manifest(with_landmarks), "onnxruntime-cpu", 1)
    assert finder is not None
    assert finder.names == NAMES
    assert finder.threshold == 0.2
    picture = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    square = letterbox(picture)
    found = finder.find([square], threshold=0.0)[0]
    with torch.inference_mode():
        wanted = EarDetector.load_from_checkpoint(detector_file)(torch.from_numpy(square.picture)[None])
    best = int(wanted.scores[0].argmax())
    np.testing.assert_allclose(found[0].landmarks, square.undo(wanted.points[0, best].numpy()), atol=0.05)
    finder.close()


def test_a_bundle_without_landmarks_has_no_finder(plain):
    assert open_finder(plain, read_manifest(plain)) is None


def test_golden_ears_that_are_not_found_are_told(with_landmarks):
    with np.load(with_landmarks / "golden_ears.npz") as archive:
        golden = {name: archive[name] for name in OUTPUTS}
    ears = iter(range(len(golden["scores"])))

    def off(inputs):
        ear = next(ears)
        return {name: golden[name][ear : ear + 1] + (5 if name == "points" else 0) for name in OUTPUTS}

    with pytest.raises(GoldenMismatch, match=r"off by 5 px"):
        check_golden_ears(FakeSession(off), with_landmarks)


def outputs(photos=3, ears=2, landmarks=4):
    rng = np.random.default_rng(0)
    shapes = {"boxes": (4,), "scores": (), "points": (landmarks, 2), "visibilities": (landmarks,), "sides": ()}
    scale = {"boxes": 640, "points": 640}
    return {
        name: (rng.random((photos, ears, *shape)) * scale.get(name, 1)).astype(np.float32)
        for name, shape in shapes.items()
    }


def test_candidates_may_change_places():
    wanted = outputs()
    swapped = {name: values[:, ::-1] for name, values in wanted.items()}
    assert judge_ears(wanted, {"swapped": swapped}).refusals == ()


@pytest.mark.parametrize(
    ("name", "error", "told"), [("boxes", 0.6, "box"), ("points", 0.6, "point"), ("sides", 0.02, "probability")]
)
def test_each_error_past_its_limit_is_refused(name, error, told):
    wanted = outputs()
    given = {**wanted, name: wanted[name] + np.float32(error)}
    (refusal,) = judge_ears(wanted, {"batch 1": given}).refusals
    assert told in refusal


def test_the_gate_cannot_be_passed_by_saying_nothing():
    same = {name: np.repeat(values[:1], 3, axis=0) for name, values in outputs().items()}
    assert "same boxes" in judge_ears(same, {"batch 1": same}).refusals[0]
    wanted = outputs()
    assert "not finite" in judge_ears(wanted, {"x": {**wanted, "scores": wanted["scores"] * np.nan}}).refusals[0]
    assert "missing" in judge_ears(wanted, {"x": {}}).refusals[0]


def test_a_refused_graph_leaves_the_bundle_as_it_was(plain, detector_file, photos, tmp_path, monkeypatch):
    from export import landmarks
    from export.parity.judge import ParityError
    from export.parity.landmarks_judge import EarParity

    folder = tmp_path / "bundle"
    shutil.copytree(plain, folder)
    monkeypatch.setattr(landmarks, "export_onnx", lambda *_: None)
    monkeypatch.setattr(landmarks, "_judge", lambda *_: EarParity(4, 9.0, 9.0, 0.0, ("box error (px) 9 is above 0.5",)))
    with pytest.raises(ParityError, match="box error"):
        add_landmarks(detector_file, folder, [photos])
    assert read_manifest(folder).bundle_id == read_manifest(plain).bundle_id
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_manifest_tells_only_what_was_measured():
    told = _finite({"nme": None, "map": float("nan"), "threshold": 0.5, "scenes.csv": {"found": 1.0, "nme": None}})
    assert told == {"threshold": 0.5, "scenes.csv": {"found": 1.0}}
