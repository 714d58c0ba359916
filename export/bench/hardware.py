"""What a measurement was taken on: processor, cores, memory, GPU, versions. Two files are comparable where these agree.

Reads what the system reports; runs nothing but `nvidia-smi`, and only where it is there.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.machine import memory_bytes, physical_cores
from common.provenance import installed

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "numpy", "tensorrt", "tensorrt-rtx-cu13", "torch")
# Instruction sets that decide how fast matrix products are.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_fp16", "avx_vnni", "amx_int8", "amx_bf16", "asimd", "sve")


@dataclass(frozen=True)
class Hardware:
    """A machine, as far as it decides how long things take."""

    cpu: str
    cores: int
    """Physical cores that this process may use."""
    instructions: tuple[str, ...]
    memory_gib: int
    gpu: str | None
    """Name, memory and driver of the first GPU."""
    system: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values, with the fingerprint."""
        return {**asdict(self), "instructions": list(self.instructions), "fingerprint": self.fingerprint()}

    def fingerprint(self) -> str:
        """16 hex digits that change with anything above."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def this_machine() -> Hardware:
    """The machine that this process runs on."""
    return Hardware(
        cpu=_cpu_field("model name") or platform.processor() or platform.machine(),
        cores=physical_cores(),
        instructions=tuple(flag for flag in FLAGS if flag in (_cpu_field("flags") or "").split()),
        memory_gib=round(memory_bytes() / 2**30),
        gpu=gpu_line(),
        system=f"{platform.system()} {platform.machine()}",
    )


def versions() -> dict[str, str]:
    """Of the packages that compute, where installed, and of Python."""
    return {"python": platform.python_version(), **installed(PACKAGES)}


def gpu_line() -> str | None:
    """`NVIDIA H200, 143771 MiB, driver 570.124`, or None without one."""
    output = _smi("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    if not output:
        return None
    name, memory, driver = (part.strip() for part in output.splitlines()[0].split(","))
    return f"{name}, {memory}, driver {driver}"


def gpu_memory_mib(pid: int) -> int | None:
    """GPU memory of a process in MiB; None without a GPU, or in a container that hides processes."""
    output = _smi("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
    for line in (output or "").splitlines():
        owner, _, used = line.partition(",")
        if owner.strip() == str(pid) and used.strip().isdigit():
            return int(used)
    return None


def peak_memory_mib(pid: int | str = "self") -> int:
    """Largest resident memory that a process has had, MiB; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def _cpu_field(name: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def _smi(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
