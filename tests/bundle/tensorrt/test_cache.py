"""One plan a key: found, refused with the reason, built once however many ask."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.errors import EngineError, RuntimeUnavailable
from bundle.tensorrt.build import BuildOptions, BuiltPlan
from bundle.tensorrt.cache import EngineCache, EngineKey, default_cache, engine_key
from bundle.tensorrt.cuda import gpu_present
from bundle.tensorrt.flavour import load_flavour
from common.durable_files import sha256_file
from tests.bundle.fake_gpu import fake_flavour

KEY = EngineKey("ab" * 32, "NVIDIA H200", "sm90", "tensorrt", "11.4.0", "fp16", (1, 8, 32))


def plan(timing: bytes) -> BuiltPlan:
    return BuiltPlan(b"plan after " + timing, b"timed")


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def test_what_was_built_is_found_and_not_built_again(cache: EngineCache) -> None:
    assert cache.find(KEY) is None
    assert cache.once(KEY, plan) == b"plan after "
    assert cache.find(KEY) == b"plan after "
    assert cache.once(KEY, lambda timing: pytest.fail("built twice")) == b"plan after "


def test_building_anew_goes_on_from_the_timing_cache(cache: EngineCache) -> None:
    cache.once(KEY, plan)
    assert cache.once(KEY, plan, anew=True) == b"plan after timed"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "10.16.1"}, "version '11.4.0' (here '10.16.1')"),
        ({"gpu": "NVIDIA L4", "sm": "sm89"}, "gpu 'NVIDIA H200' (here 'NVIDIA L4'), sm 'sm90' (here 'sm89')"),
        ({"onnx_sha256": "cd" * 32}, "onnx_sha256"),
        ({"precision": "fp32"}, "precision 'fp16' (here 'fp32')"),
        ({"batches": (1, 8)}, "batches [1, 8, 32] (here [1, 8])"),
        ({"flavour": "tensorrt-rtx"}, "flavour 'tensorrt' (here 'tensorrt-rtx')"),
    ],
)
def test_a_stale_or_foreign_engine_does_not_count_and_the_reason_is_told(
    cache: EngineCache, change: dict, words: str
) -> None:
    cache.once(KEY, plan)
    other = replace(KEY, **change)
    assert cache.find(other) is None
    told = cache.why_absent(other)
    assert words in told
    assert "`ear-teacher engine BUNDLE` builds it" in told


def test_an_empty_cache_has_no_nearest_engine(cache: EngineCache) -> None:
    assert "nearest" not in cache.why_absent(KEY)


def test_a_changed_plan_is_refused_and_a_build_mends_it(cache: EngineCache) -> None:
    cache.once(KEY, plan)
    cache.plan_path(KEY).write_bytes(b"something else")
    with pytest.raises(EngineError, match="was changed since it was built"):
        cache.find(KEY)
    cache.plan_path(KEY).unlink()
    with pytest.raises(EngineError, match="cannot be read"):
        cache.find(KEY)
    assert cache.once(KEY, plan)
    assert cache.find(KEY)


def test_facts_of_another_engine_under_this_name_are_refused(cache: EngineCache) -> None:
    cache.once(KEY, plan)
    facts = cache.folder / f"{KEY.digest}.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"gpu": "NVIDIA L4"}))
    with pytest.raises(EngineError, match="is of another engine: gpu is 'NVIDIA L4', here it is 'NVIDIA H200'"):
        cache.find(KEY)
    facts.write_text("{")
    with pytest.raises(EngineError, match="delete it and build the engine again"):
        cache.find(KEY)
    assert "nearest" not in cache.why_absent(replace(KEY, precision="fp32"))


def test_a_build_that_dies_leaves_nothing_that_counts(cache: EngineCache) -> None:
    def dies(timing: bytes) -> BuiltPlan:
        raise EngineError("out of memory")

    with pytest.raises(EngineError, match="out of memory"):
        cache.once(KEY, dies)
    assert cache.find(KEY) is None
    cache.plan_path(KEY).write_bytes(b"half")  # a plan whose facts were never written
    assert cache.find(KEY) is None


BUILD_SLOWLY = """
import sys, time
from pathlib import Path
from bundle.tensorrt.build import BuiltPlan
from bundle.tensorrt.cache import EngineCache, EngineKey
def make(timing):
    with open(sys.argv[2], "a") as file:
        file.write("x")
    time.sleep(0.5)
    return BuiltPlan(b"plan", b"")
key = EngineKey("ab" * 32, "NVIDIA H200", "sm90", "tensorrt", "11.4.0", "fp16", (1, 8, 32))
EngineCache(Path(sys.argv[1])).once(key, make)
"""


def test_of_several_processes_one_builds_and_the_others_wait(cache: EngineCache, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD_SLOWLY, str(cache.folder), str(tmp_path / "started")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "started").read_text() == "x"
    assert cache.find(KEY) == b"plan"


def test_a_plan_built_ahead_is_keyed_by_its_target(bundle_folder: Path) -> None:
    key = engine_key(bundle_folder / "encoder.onnx", fake_flavour("tensorrt-rtx"), "fp32", BuildOptions(target="sm89"))
    assert (key.gpu, key.sm, key.onnx_sha256) == ("any", "sm89", sha256_file(bundle_folder / "encoder.onnx"))


@pytest.mark.skipif(gpu_present(), reason="needs a machine without a GPU")
def test_this_gpus_key_needs_a_gpu(bundle_folder: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="driver|GPU"):
        engine_key(bundle_folder / "encoder.onnx", fake_flavour(), "fp32", BuildOptions())


def test_the_cache_lies_where_caches_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/ear-teacher/engines")


def test_a_real_plan_goes_through_the_cache(cache: EngineCache, bundle_folder: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings")
    flavour, options = load_flavour("tensorrt-rtx"), BuildOptions(batches=(1, 4), target="sm89")
    key = engine_key(bundle_folder / "decoder.onnx", flavour, "fp32", options)
    built = cache.build(bundle_folder / "decoder.onnx", key, flavour, options)
    assert cache.find(key) == built
    assert sorted(path.suffix for path in cache.folder.iterdir()) == [".json", ".lock", ".plan"]
