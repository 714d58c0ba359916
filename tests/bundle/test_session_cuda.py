from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle.golden import golden_crops
from bundle.model import load
from bundle.session import open_session


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives_for_every_batch(bundle_folder: Path) -> None:
    session = open_session(bundle_folder / "encoder.onnx", "onnxruntime-cuda")
    reference = open_session(bundle_folder / "encoder.onnx", "onnxruntime-cpu")
    for batch in (1, 3, 6, 40, 3, 1):
        crops = np.resize(golden_crops(), (batch, 128, 128, 3))
        np.testing.assert_allclose(
            session.run({"image": crops})["mu"], reference.run({"image": crops})["mu"], rtol=1e-3, atol=1e-3
        )
    session.close()


@pytest.mark.gpu
def test_auto_takes_the_gpu_after_the_golden_check(bundle_folder: Path) -> None:
    with load(bundle_folder) as model:
        assert model.runtime != "onnxruntime-cpu", model.passed_over
