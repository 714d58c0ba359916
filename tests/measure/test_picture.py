"""PSNR and SSIM against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from measure.errors import MeasureError
from measure.picture import psnr, ssim


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(2, 40, 56, 3)), axis=1) * 9 + 128
    first = smooth.clip(0, 255).astype(np.uint8)
    return first, (first + rng.normal(0, 12, first.shape)).clip(0, 255).astype(np.uint8)


def test_both_agree_with_scikit_image_picture_by_picture(pair) -> None:
    a, b = pair
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = [structural_similarity(x, y, channel_axis=-1, **options) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ssim(a, b), expected, rtol=1e-9)
    np.testing.assert_allclose(psnr(a, b), [peak_signal_noise_ratio(x, y) for x, y in zip(a, b, strict=True)])


def test_equal_pictures_are_perfect(pair) -> None:
    assert (psnr(pair[0], pair[0]) == np.inf).all()
    np.testing.assert_allclose(ssim(pair[0], pair[0]), 1.0)


def test_leading_axes_are_kept(pair) -> None:
    a, b = pair
    assert psnr(a[0], b[0]).shape == ()
    assert ssim(a[None], b[None]).shape == (1, 2)


def test_an_error_of_one_level_is_48_db() -> None:
    a = np.full((16, 16, 3), 100, np.uint8)
    assert float(psnr(a, a + np.uint8(1))) == pytest.approx(20 * np.log10(255))


def test_wrong_pictures_are_refused(pair) -> None:
    a, b = pair
    with pytest.raises(MeasureError, match="uint8 of one shape"):
        psnr(a, b.astype(np.float32))
    with pytest.raises(MeasureError, match="uint8 of one shape"):
        psnr(a, b[:1])
    with pytest.raises(MeasureError, match="at least 11x11 px; given 56x8"):
        ssim(a[:, :8], b[:, :8])
