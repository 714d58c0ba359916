"""TensorRT found, missing, broken, or of another version."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

from bundle.errors import RuntimeUnavailable
from bundle.tensorrt.flavour import Flavour, check_version, installed_flavours, load_flavour


def test_rtx_loads_from_its_bindings() -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    flavour = load_flavour("tensorrt-rtx")
    assert flavour.version.startswith("1.")
    assert "tensorrt-rtx" in installed_flavours()


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="needs an environment without TensorRT")
def test_an_absent_flavour_says_how_to_install_it() -> None:
    with pytest.raises(RuntimeUnavailable, match=r"tensorrt is not installed: pip install .*pypi\.nvidia\.com"):
        load_flavour("tensorrt")


def test_bindings_without_their_libraries_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(RuntimeUnavailable, match=r"cannot be loaded: the library libnvinfer\.so\.11 is not .*: pip"):
        load_flavour("tensorrt")


@pytest.mark.parametrize("version", ["10.16.1.11", "11.0.0", "11.4.0.106"])
def test_versions_that_work_are_taken(version: str) -> None:
    assert check_version(Flavour("tensorrt", version, SimpleNamespace())).version == version


@pytest.mark.parametrize(("name", "version"), [("tensorrt", "8.6.1"), ("tensorrt", "10.15.0"), ("tensorrt-rtx", "1.2")])
def test_another_version_is_refused_with_what_is_needed(name, version: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=f"{name} {version} is installed; needed is "):
        check_version(Flavour(name, version, SimpleNamespace()))
