"""The archives for a GPU machine without a network: what travels, what is refused, which kernels stay."""

import re
import struct
import tarfile
from pathlib import Path

import pytest

from bench.gpu_fatbin import ELF, ELF_MAGIC, HEADER_BYTES, MAGIC, PTX, zero
from bench.gpu_pack import RUNTIMES, UNUSED_KERNELS, compress, copy_project, is_needed, pinned
from common.provenance import COMMIT_FILE

ROOT = Path(__file__).parents[2]


def bare_tree(folder: Path, left_out: tuple[str, ...]) -> Path:
    """The committed project without some of its folders."""
    copy_project(ROOT, folder / "project", left_out)
    return folder / "project"


def region(*entries: tuple[int, int, bytes]) -> bytes:
    """A fat binary of (kind, SM, code) entries, as CUDA 13 writes it."""
    body = b""
    for kind, sm, code in entries:
        header = struct.pack("<HHIQI", kind, 1, 64, len(code), len(code)).ljust(28, b"\0") + struct.pack("<I", sm)
        body += header.ljust(64, b"\0") + code
    return struct.pack("<IHHQ", MAGIC, 1, HEADER_BYTES, len(body)) + body


def test_the_kernels_of_one_gpu_generation_stay():
    old, own, new, ptx = (ELF_MAGIC + name * 8 for name in (b"old ", b"own ", b"new ", b"ptx "))
    data = bytearray(region((ELF, 80, old), (ELF, 90, own), (ELF, 100, new), (PTX, 90, ptx)))
    kept, zeroed = zero(data, 0, len(data), 90, lambda code: False)
    assert own in data
    assert ptx in data
    assert old not in data
    assert new not in data
    assert (kept, zeroed) == (len(own) + len(ptx), len(old) + len(new))


def test_an_older_generation_stays_where_there_is_no_newer_one_and_unused_kernels_go():
    plain, experts = ELF_MAGIC + b"plain" * 8, ELF_MAGIC + b"moe" * 8
    data = bytearray(region((ELF, 80, plain)) + region((ELF, 90, experts)))
    zero(data, 0, len(data), 90, lambda code: re.search(rb"moe", code) is not None)
    assert plain in data
    assert experts not in data


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="not the fat binary format"):
        zero(bytearray(64), 0, 64, 90, lambda code: False)


def test_the_project_travels_without_what_is_left_out(tmp_path):
    tree = bare_tree(tmp_path, ("docs", "demo/ears"))
    assert (tree / "bench" / "gpu_check.py").is_file()
    assert (tree / "demo" / "bundle").is_dir()
    assert not (tree / "docs").exists()
    assert re.fullmatch(r"[0-9a-f]{12}", (tree / COMMIT_FILE).read_text().strip())
    assert not (tree / "demo" / "ears").exists()


def test_an_archive_over_the_limit_is_refused(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(range(256)) * 8)
    archive = compress(folder, tmp_path / "train.tar.xz")
    with tarfile.open(archive) as tar:
        assert "file" in tar.getnames()
    with pytest.raises(ValueError, match=r"train.tar.xz would be .* at most 0 are allowed"):
        compress(folder, tmp_path / "train.tar.xz", limit_bytes=100)
    assert not archive.exists()


def test_runtimes_are_pinned_as_the_project_pins_them():
    names = {name for names in RUNTIMES.values() for name in names}
    assert names
    assert [name for name in sorted(names) if "==" not in pinned(name, ROOT)] == []


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("cuda/bindings/runtime.cpython-312-x86_64-linux-gnu.so", True),
        ("cuda/bindings/_internal/driver.cpython-312-x86_64-linux-gnu.so", True),
        ("cuda/bindings/utils/_nvvm_utils.py", True),
        ("cuda/bindings/_v2/driver.cpython-312-x86_64-linux-gnu.so", False),
        ("cuda/bindings/_internal/nvrtc.cpython-312-x86_64-linux-gnu.so", False),
        ("cuda/bindings/cynvml.cpython-312-x86_64-linux-gnu.so", False),
    ],
)
def test_of_cuda_bindings_what_the_runtime_imports_travels(name, needed):
    assert is_needed(name) is needed


def test_kernels_are_unused_by_their_names_not_by_bytes_that_look_like_one():
    assert UNUSED_KERNELS.search(b".text._ZN3moe6kernelE_moe_gemm")
    assert UNUSED_KERNELS.search(b"Flash_fwd_kernel_traitsILi64EN7cutlass10bfloat16_tE")
    assert not UNUSED_KERNELS.search(b"\x00\x91moe\xff\x02Moe\x00")
    assert not UNUSED_KERNELS.search(b"Flash_fwd_kernel_traitsILi64EN7cutlass6half_tE")
