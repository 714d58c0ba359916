"""The golden check passes what is right and fails what is constant, dead or shuffled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle.errors import GoldenMismatch
from bundle.golden import GOLDEN_NAME, check, golden_crops, write_golden
from bundle.session import FakeSession

RNG = np.random.default_rng(0)
MU = RNG.normal(size=(6, 16)).astype(np.float32)
GOLDEN = {
    "embedding": MU / np.linalg.norm(MU, axis=1, keepdims=True),
    "mu": MU,
    "logvar": np.zeros_like(MU),
    "image": RNG.integers(0, 256, (6, 128, 128, 3), dtype=np.uint8),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_golden(tmp_path, golden_crops(), GOLDEN)
    return tmp_path


def encoder(precision: str = "fp32", **changes: np.ndarray) -> FakeSession:
    outputs = {name: changes.get(name, GOLDEN[name]) for name in ("embedding", "mu", "logvar")}
    return FakeSession(lambda inputs: outputs, precision=precision)


def decoder(image: np.ndarray = GOLDEN["image"], precision: str = "fp32") -> FakeSession:
    return FakeSession(lambda inputs: {"image": image}, precision=precision)


def test_the_shipped_crops_are_six_different_ears() -> None:
    crops = golden_crops()
    assert crops.shape == (6, 128, 128, 3)
    assert crops.dtype == np.uint8
    flat = crops.reshape(6, -1).astype(float)
    assert np.linalg.norm(flat[:, None] - flat[None], axis=-1)[np.triu_indices(6, 1)].min() > 2000


def test_the_same_outputs_pass(folder: Path) -> None:
    report = check(encoder(), decoder(), folder)
    assert report.crops == 6
    assert report.embedding_cosine == pytest.approx(1.0)
    assert (report.mu_error, report.psnr_db) == (0.0, float("inf"))


def test_a_small_error_passes_as_fp16_and_fails_as_fp32(folder: Path) -> None:
    near = (MU + 0.03 * RNG.normal(size=MU.shape)).astype(np.float32)
    assert 0.999 < check(encoder("fp16", mu=near), decoder(), folder).mu_cosine < 0.9999
    with pytest.raises(GoldenMismatch, match=r"fake fp32 does not reproduce golden\.npz: mu_cosine is 0\.99.*0\.9999"):
        check(encoder(mu=near), decoder(), folder)


@pytest.mark.parametrize("broken", [np.ones_like(MU), np.zeros_like(MU), np.full_like(MU, np.nan), MU[::-1]])
def test_a_constant_dead_nan_or_shuffled_encoder_fails(folder: Path, broken: np.ndarray) -> None:
    with pytest.raises(GoldenMismatch, match="embedding_cosine"):
        check(encoder("fp16", embedding=broken), decoder(), folder)


def test_a_decoder_off_by_three_levels_fails(folder: Path) -> None:
    image = GOLDEN["image"]
    assert check(encoder(), decoder(image ^ (RNG.random(image.shape) < 0.1).astype(np.uint8)), folder).psnr_db > 48
    with pytest.raises(GoldenMismatch, match="psnr_db is 38"):
        check(encoder(), decoder(np.where(image > 127, image - 3, image + 3).astype(np.uint8)), folder)


def test_a_missing_or_damaged_file_is_named(folder: Path) -> None:
    (folder / GOLDEN_NAME).write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(GoldenMismatch, match=r"golden\.npz cannot be read"):
        check(encoder(), decoder(), folder)
    (folder / GOLDEN_NAME).unlink()
    with pytest.raises(GoldenMismatch, match=r"golden\.npz cannot be read"):
        check(encoder(), decoder(), folder)
    with pytest.raises(GoldenMismatch, match=r"lack \['image'\]"):
        write_golden(folder, golden_crops(), {name: MU for name in ("embedding", "mu", "logvar")})
