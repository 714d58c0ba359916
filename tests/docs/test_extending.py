"""The runtime that docs/extending.md shows is a real one: it loads a bundle's graphs and passes the golden check."""

import re
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import ContractError
from bundle.golden import check
from bundle.manifest import read_manifest
from bundle.runtimes import open_session
from tests.serve.tiny_bundle import write_tiny_bundle

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()


@pytest.fixture(scope="module")
def shown():
    runtime = PAGE[PAGE.index("## A runtime") : PAGE.index("## An index")]
    (code,) = re.findall(r"^```python\n(.*?)^```$", runtime, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/extending.md", "exec"), names)
    return names["ReferenceSession"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    write_tiny_bundle(folder)
    return folder


def test_the_runtime_shown_passes_the_golden_check(shown, bundle):
    manifest = read_manifest(bundle)
    check(shown(bundle / "encoder.onnx"), shown(bundle / "decoder.onnx"), bundle, manifest.golden)


def test_the_runtime_shown_agrees_with_onnx_runtime(shown, bundle):
    crops = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    ours, theirs = shown(bundle / "encoder.onnx"), open_session(bundle / "encoder.onnx", "onnxruntime-cpu", 1)
    assert ours.signature() == theirs.signature()
    for name, value in theirs.run({"image": crops}).items():
        np.testing.assert_allclose(ours.run({"image": crops})[name], value, atol=1e-4)


def test_the_runtime_shown_refuses_what_every_runtime_refuses(shown, bundle):
    session = shown(bundle / "encoder.onnx")
    with pytest.raises(ContractError, match="image"):
        session.run({"image": np.zeros((1, 64, 64, 3), np.uint8)})
    session.close()
    with pytest.raises(ContractError, match="closed"):
        session.run({"image": np.zeros((1, 128, 128, 3), np.uint8)})


def test_what_the_page_names_is_there():
    root = Path(__file__).parents[2]
    paths = re.findall(r"`((?:bundle|common|index|serve|tests|training)/[a-z_/]+\.py)`", PAGE)
    assert len(paths) >= 5
    assert [path for path in paths if not (root / path).is_file()] == []
