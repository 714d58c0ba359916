"""One archive with all that `bench.gpu_check` needs on a GPU machine that has torch and no network.

    python -m bench.gpu_pack train --out /tmp/packs      # the training step; also: ort, rtx
    # there: tar -xJf train.tar.xz; cd project; PYTHONPATH=../site:. python -m bench.gpu_check "training step"

`train` brings pydantic, `ort` also onnxruntime-gpu, `rtx` TensorRT-RTX, with the kernels of one GPU generation; both
also what they use of cuda-bindings. `ort` brings pytest too; `rtx` has no room for the shipped bundle.
The machine is expected to have Python 3.12, CUDA 13, torch, transformers, lightning, onnx and onnxscript. An archive
over the limit is refused. Packing `ort` and `rtx` needs binutils, lz4 and zstandard; all need a network with PyPI.
"""

from __future__ import annotations

import argparse
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bench.gpu_fatbin import prune
from common.provenance import COMMIT_FILE

ROOT = Path(__file__).resolve().parents[1]
LIMIT_BYTES = 64 * 2**20
PYTHON = "3.12"
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014", "manylinux1")
HOPPER = 90
COMMON = (
    *("pydantic", "pydantic-core", "pydantic-settings", "annotated-types"),
    *("typing-extensions", "typing-inspection", "python-dotenv"),
)
RUNTIMES: dict[str, tuple[str, ...]] = {
    "train": (),
    "ort": ("onnxruntime-gpu", "cuda-bindings", "cuda-pathfinder", "pytest", "pluggy", "iniconfig", "pygments"),
    "rtx": ("tensorrt-rtx-cu13-libs", "tensorrt-rtx-cu13-bindings", "cuda-bindings", "cuda-pathfinder"),
}
LEFT_OUT_OF_PROJECT = {
    "train": ("docs", "demo/ears", "tests"),
    "ort": ("docs", "demo/ears"),
    "rtx": ("docs", "demo/ears", "demo/bundle", "tests"),
}
LEFT_OUT_OF_WHEELS = (
    "providers_tensorrt",
    "onnxruntime/datasets/",
    *(f"onnxruntime/{part}/" for part in ("backend", "quantization", "tools", "transformers")),
    "ThirdPartyNotices",
    ".pxd",
)
CUDA_LIBRARIES = ("onnxruntime/capi/libonnxruntime_providers_cuda.so", "tensorrt_rtx_libs/libtensorrt_rtx.so*")
OTHER_LANGUAGES = re.compile(r"^pygments/lexers/(?!__init__|_mapping|diff|python)")
"""pytest colours Python and diffs."""
OTHER_BINDINGS = re.compile(
    r"^cuda/bindings/(_v2/|(_internal/)?(cy|_)?(nvml|cufile|cudla|nvfatbin|nvjitlink|nvrtc|nvvm))"
)
"""What `cuda.bindings.runtime` does not import."""
UNUSED_KERNELS = re.compile(
    rb"\w{4}(?:moe|MoE|Moe)|(?:moe|MoE|Moe)\w{4}|Flash_fwd_kernel_traits\w*bfloat16|fpA_intB|_paged", re.ASCII
)
"""Mixture of experts (two thirds of onnxruntime-gpu's kernels), flash attention in bfloat16, weights of few bits, paged
caches: no graph of ours calls one. Three letters alone would also match machine code by chance."""


def pack(runtime: str, out: Path, project: Path = ROOT) -> Path:
    """Write `out/RUNTIME.tar.xz` from the committed project and PyPI's wheels; returns its path.

    Raises ValueError for an archive over `LIMIT_BYTES`, which is removed.
    """
    wheels, folder = out / f"{runtime}-wheels", out / runtime
    shutil.rmtree(folder, ignore_errors=True)
    for name in (*COMMON, *RUNTIMES[runtime]):
        download(wheels, pinned(name, project))
    unpack(wheels, folder / "site")
    copy_project(project, folder / "project", LEFT_OUT_OF_PROJECT[runtime])
    for pattern in CUDA_LIBRARIES:
        for library in (folder / "site").glob(pattern):
            kept, zeroed = prune(library, HOPPER, UNUSED_KERNELS)
            print(f"{library.name}: {kept / 1e6:.1f} MB of kernels kept, {zeroed / 1e6:.1f} MB zeroed")
    return compress(folder, out / f"{runtime}.tar.xz")


def pinned(name: str, project: Path) -> str:
    """`name==version` as the project's constraints pin it, or the bare name."""
    text = "\n".join((project / file).read_text() for file in ("constraints.txt", "deploy/constraints-gpu.txt"))
    pattern = rf"^{name.replace('-', '[-_]')}==\S+"
    match = re.search(pattern, text, re.MULTILINE | re.IGNORECASE)
    return match.group(0) if match else name


def download(wheels: Path, requirement: str) -> None:
    """One wheel for CPython on Linux x86-64, without its dependencies."""
    platforms = [f"--platform={platform}_x86_64" for platform in PLATFORMS]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--implementation=cp"]
    subprocess.run([*command, f"--python-version={PYTHON}", *platforms, "-d", str(wheels), requirement], check=True)


def unpack(wheels: Path, site: Path) -> None:
    """What pip would install, less what no graph of ours needs."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site, [name for name in archive.namelist() if is_needed(name)])


def is_needed(name: str) -> bool:
    """Whether a file of a wheel travels."""
    return not (
        OTHER_LANGUAGES.match(name) or OTHER_BINDINGS.match(name) or any(part in name for part in LEFT_OUT_OF_WHEELS)
    )


def copy_project(project: Path, to: Path, left_out: Sequence[str]) -> None:
    """The committed project, and which commit that is."""
    command = ["git", "-C", str(project), "archive", "HEAD", "--", ".", *(f":(exclude){path}" for path in left_out)]
    to.mkdir(parents=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-C", str(to), "-xf", "-"], stdin=archive.stdout, check=True)
    if archive.returncode:
        raise RuntimeError(f"git archive ended with status {archive.returncode} in {project}")
    described = subprocess.run(
        ["git", "-C", str(project), "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True
    )
    (to / COMMIT_FILE).write_bytes(described.stdout)


def compress(folder: Path, archive: Path, limit_bytes: int = LIMIT_BYTES) -> Path:
    """xz with the x86 filter and a dictionary over the whole archive: minutes on one core for the large ones."""
    lzma2 = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 28}
    filters = [{"id": lzma.FILTER_X86}, lzma2]
    with lzma.open(archive, "wb", filters=filters) as out, tarfile.open(fileobj=out, mode="w|") as tar:
        for child in sorted(folder.iterdir()):
            tar.add(child, child.name)
    size = archive.stat().st_size
    if size > limit_bytes:
        archive.unlink()
        raise ValueError(
            f"{archive.name} would be {size / 2**20:.1f} MiB; at most {limit_bytes / 2**20:.0f} are allowed"
        )
    print(f"{archive}: {size / 2**20:.1f} MiB of at most {limit_bytes / 2**20:.0f}")
    return archive


def main(argv: list[str] | None = None) -> int:
    """Pack what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_pack", description=__doc__.splitlines()[0])
    parser.add_argument("runtime", choices=RUNTIMES)
    parser.add_argument("--out", type=Path, required=True, help="folder for the archive and what it is made of")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        pack(options.runtime, options.out)
    except ValueError as error:
        print(f"gpu_pack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
