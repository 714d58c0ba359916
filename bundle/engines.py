"""The engines of a whole bundle: one plan for each graph that a TensorRT runtime would load.

What `ear-teacher engine` does ahead of time and a service may do in the background. Plans go to the cache, never into
the bundle: they belong to one GPU and one TensorRT version.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import RuntimeUnavailable
from bundle.manifest import Manifest, Variant, read_manifest, verify_files
from bundle.model import choose_variant
from bundle.session import AUTO
from bundle.tensorrt.build import DEFAULT_OPTIONS, BuildOptions, check_target
from bundle.tensorrt.cache import EngineCache, engine_key
from bundle.tensorrt.flavour import FLAVOURS, Flavour, FlavourName, installed_flavours, load_flavour
from common.gpu_faults import INSTALL

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BundleEngine:
    """One plan that is now in the cache."""

    variant: Variant
    path: Path
    size_bytes: int
    built_s: float
    """Seconds that it took; near 0 where it was there already."""


def choose_flavour(runtime: str = AUTO) -> Flavour:
    """Import the TensorRT asked for, or the first that is installed. RuntimeUnavailable says what to install."""
    if runtime == AUTO:
        names = installed_flavours()
        if not names:
            raise RuntimeUnavailable(f"no TensorRT is installed: {' or: '.join(INSTALL[name] for name in FLAVOURS)}")
        return load_flavour(names[0])
    for name in FLAVOURS:
        if runtime == name:
            return load_flavour(name)
    raise RuntimeUnavailable(f"{runtime!r} builds no engines; there are {', '.join((AUTO, *FLAVOURS))}")


def build_engines(
    folder: str | Path,
    runtime: str = AUTO,
    precision: str = AUTO,
    options: BuildOptions = DEFAULT_OPTIONS,
    cache: EngineCache | None = None,
    anew: bool = False,
) -> list[BundleEngine]:
    """Build what is missing of a bundle's engines; each is logged before it is built.

    Raises what `load_flavour`, `build_plan` and the bundle's own checks raise.
    """
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    flavour, cache = choose_flavour(runtime), cache or EngineCache()
    check_target(flavour, options)
    engines = []
    for variant in engine_variants(manifest, flavour.name, precision):
        onnx = Path(folder) / variant.file
        key = engine_key(onnx, flavour, variant.precision, options)
        logger.info(
            "%s %s: %s %s for %s %s ...",
            variant.graph,
            variant.precision,
            flavour.name,
            flavour.version,
            key.gpu,
            key.sm,
        )
        start = time.perf_counter()
        plan = cache.build(onnx, key, flavour, options, anew)
        engines.append(BundleEngine(variant, cache.plan_path(key), len(plan), time.perf_counter() - start))
    return engines


def engine_variants(manifest: Manifest, flavour: FlavourName, precision: str = AUTO) -> list[Variant]:
    """The files that a TensorRT runtime would load: encoder, decoder, and landmarks where the bundle has them."""
    variants = [choose_variant(manifest, "encoder", flavour, precision)]
    graphs = {variant.graph for variant in manifest.variants}
    others = [variant for variant in ("decoder", "landmarks") if variant in graphs]
    for graph in others:
        precisions = {variant.precision for variant in manifest.variants if variant.graph == graph}
        variants.append(choose_variant(manifest, graph, flavour, precision if precision in precisions else AUTO))
    return variants
