"""HOG and pixel PCA against scikit-image and scikit-learn."""

import numpy as np
from skimage.feature import hog as reference
from sklearn.decomposition import PCA

from training.evaluation.baselines import PixelPca, hog


def _crops(count=12, side=64):
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (count, 8, 8, 3), dtype=np.uint8).repeat(side // 8, 1).repeat(side // 8, 2)


def test_hog_is_scikit_images_of_the_grey_picture():
    crops = _crops(3)
    grey = crops[1] @ np.array([0.2125, 0.7154, 0.0721]) / 255
    expected = reference(grey, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    found = hog(crops)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_pca_reconstructs_better_with_more_components_and_fully_with_all():
    crops = _crops()
    pca = PixelPca.fit(crops, 1024)
    errors = [np.abs(pca.reconstruct(crops, k).astype(int) - crops).mean() for k in (1, 4, 11)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1


def test_pca_coordinates_are_scikit_learns():
    crops = _crops()
    pixels = crops.reshape(len(crops), -1).astype(np.float64)
    theirs = PCA(3, svd_solver="full").fit(pixels)
    ours = PixelPca.fit(crops, 3)
    np.testing.assert_allclose(
        np.abs(ours.embed(crops, 3, whiten=False)), np.abs(theirs.transform(pixels)), rtol=1e-2, atol=1
    )
    np.testing.assert_allclose(ours.embed(crops, 3).std(0, ddof=1), 1, rtol=1e-2)
