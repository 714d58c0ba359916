"""Photos with ears in them, a teacher and a detector: tiny, untrained, on disk."""

import pytest
import torch

from tests.training.detector.shapes import TINY, write_photos, write_table
from tests.training.shapes import MICRO
from training.checkpoint import Checkpoint, write_checkpoint
from training.detector.checkpoint import DetectorCheckpoint, write_detector
from training.detector.detector import EarDetector
from training.networks.vae import EarVAE


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A metadata.csv of small photos: six subjects to train on, two to validate on."""
    folder = tmp_path_factory.mktemp("photos")
    return write_table(folder, write_photos(folder, range(6), "train") + write_photos(folder, range(6, 8), "val"))


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """The checkpoint of a tiny untrained teacher."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "model.ckpt"
    write_checkpoint(path, Checkpoint(MICRO, EarVAE(MICRO).state_dict()))
    return path


@pytest.fixture(scope="session")
def detector_file(tmp_path_factory):
    """detector.ckpt of a tiny untrained detector."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("detector") / "detector.ckpt"
    write_detector(path, DetectorCheckpoint(TINY, EarDetector(TINY).state_dict(), ("top", "middle", "bottom")))
    return path
