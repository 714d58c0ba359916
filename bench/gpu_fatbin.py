"""CUDA libraries with the kernels of one GPU generation only: the other machine code is zeroed, so that it compresses.

A CUDA library carries its kernels as "fat binaries" in the ELF section `.nv_fatbin`: a header, then entries, each for
one SM architecture, stored plain, as an LZ4 block or as a Zstandard frame. CUDA keeps the largest architecture that is
not above the GPU's. Needs `readelf`, and the packages lz4 and zstandard where entries are compressed.
"""

from __future__ import annotations

import mmap
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC, VERSION, HEADER_BYTES = 0xBA55ED50, 1, 16
PTX, ELF = 1, 2
ZSTANDARD_MAGIC, ELF_MAGIC = b"\x28\xb5\x2f\xfd", b"\x7fELF"


@dataclass(frozen=True)
class Entry:
    """One kernel image of a region: where its bytes start and how many there are, padded and stored."""

    start: int
    padded: int
    stored: int
    kind: int
    sm: int


def prune(library: Path, sm: int, unused: re.Pattern[bytes]) -> tuple[int, int]:
    """Zero in place what a GPU of architecture `sm` (90: Hopper) does not run, and kernels whose code matches `unused`.

    Returns bytes kept and bytes zeroed. Raises ValueError for another fat binary format.
    """
    offset, size = section(library)
    with open(library, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        return zero(data, offset, offset + size, sm, lambda code: unused.search(code) is not None)


def section(library: Path) -> tuple[int, int]:
    """Offset and size of the section `.nv_fatbin`, bytes."""
    table = subprocess.run(["readelf", "-SW", library], check=True, capture_output=True, text=True).stdout
    match = re.search(r"\.nv_fatbin\s+\S+\s+\S+\s+(\S+)\s+(\S+)", table)
    if match is None:
        raise ValueError(f"{library} has no section .nv_fatbin: it is no CUDA library")
    return int(match.group(1), 16), int(match.group(2), 16)


def zero(
    data: mmap.mmap | bytearray, start: int, end: int, sm: int, unused: Callable[[bytes], bool]
) -> tuple[int, int]:
    """`prune` on bytes."""
    kept = zeroed = 0
    for entries in regions(data, start, end):
        usable = max((entry.sm for entry in entries if entry.kind == ELF and entry.sm <= sm), default=0)
        for entry in entries:
            image = bytes(data[entry.start : entry.start + entry.stored])
            if entry.kind == PTX or (entry.sm == usable and not unused(machine_code(image))):
                kept += entry.padded
            else:
                data[entry.start : entry.start + entry.padded] = bytes(entry.padded)
                zeroed += entry.padded
    return kept, zeroed


def regions(data: mmap.mmap | bytearray, start: int, end: int) -> Iterator[list[Entry]]:
    """The entries of each fat binary between two offsets."""
    while start < end:
        magic, version, header, body = struct.unpack_from("<IHHQ", data, start)
        if (magic, version, header) != (MAGIC, VERSION, HEADER_BYTES):
            raise ValueError(f"at byte {start}: not the fat binary format of CUDA 13 (magic {magic:#x})")
        at, stop, entries = start + header, start + header + body, []
        while at < stop:
            kind, _, entry_header, padded, stored = struct.unpack_from("<HHIQI", data, at)
            (sm,) = struct.unpack_from("<I", data, at + 28)
            entries.append(Entry(at + entry_header, padded, stored or padded, kind, sm))
            at += entry_header + padded
        yield entries
        start = stop


def machine_code(stored: bytes) -> bytes:
    """An entry's ELF, decompressed."""
    if stored.startswith(ELF_MAGIC):
        return stored
    if stored.startswith(ZSTANDARD_MAGIC):
        import zstandard

        return bytes(zstandard.ZstdDecompressor().decompress(stored, max_output_size=1 << 28))
    import lz4.block

    return bytes(lz4.block.decompress(stored, uncompressed_size=1 << 26))
