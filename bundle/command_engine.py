"""`ear-teacher engine BUNDLE`: build a bundle's TensorRT engines ahead of time, into the cache that serving reads."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)

    from bundle.engines import build_engines
    from bundle.tensorrt.build import CURRENT_GPU, BuildOptions
    from bundle.tensorrt.cache import EngineCache
    from common.progress import show_progress

    options = BuildOptions(
        batches=tuple(arguments.batches),
        workspace_bytes=int(arguments.workspace_gib * (1 << 30)) if arguments.workspace_gib is not None else None,
        optimisation_level=arguments.level,
        target=arguments.target or CURRENT_GPU,
    )
    cache = EngineCache(arguments.cache)
    show_progress()
    engines = build_engines(arguments.bundle, arguments.runtime, arguments.precision, options, cache, arguments.anew)
    for engine in engines:
        _say(f"{engine.variant.graph}: {engine.path} ({engine.size_bytes / 1e6:.1f} MB, {engine.built_s:.1f} s)")
    return 0


def parser() -> argparse.ArgumentParser:
    """The flags of the verb."""
    result = argparse.ArgumentParser(
        prog="ear-teacher engine",
        description="Build a bundle's TensorRT engines ahead of time, into the cache that serving reads.",
    )
    result.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
    what = result.add_argument_group("what to build")
    what.add_argument(
        "--runtime", default="auto", help="tensorrt, tensorrt-rtx, or auto: the first installed (default: auto)"
    )
    what.add_argument("--precision", default="auto", help="fp32, fp16, int8, or auto: as served (default: auto)")
    what.add_argument(
        "--batches",
        type=_batches,
        default=(1, 8, 32),
        metavar="N,N,...",
        help="batch sizes to tune for, growing; the last is the largest that will run (default: 1,8,32)",
    )
    what.add_argument(
        "--target",
        metavar="SM",
        help="build TensorRT-RTX engines without a GPU for a compute capability such as sm89 (default: this GPU)",
    )
    how = result.add_argument_group("how to build")
    how.add_argument(
        "--workspace-gib", type=float, metavar="GIB", help="memory it may take, in GiB (default: all of the GPU's)"
    )
    how.add_argument("--level", type=int, default=3, help="0 builds fastest, 5 runs fastest (default: 3)")
    how.add_argument("--anew", action="store_true", help="build again even where the cache has the engine")
    how.add_argument("--cache", type=Path, metavar="FOLDER", help="default: ~/.cache/ear-teacher/engines")
    return result


def _batches(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of batch sizes such as 1,8,32") from None


def _say(line: str) -> None:
    print(line, flush=True)
