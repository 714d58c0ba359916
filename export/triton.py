"""A bundle as a Triton model repository: two models, dynamic batching, warm-up, versions that are numbers.

Writes files and runs nothing. Formats follow Triton's "Model Repository" and "Model Configuration" pages
(docs.nvidia.com/deeplearning/triton-inference-server).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.manifest import (
    MANIFEST_NAME,
    Graph,
    GraphContract,
    Manifest,
    Tensor,
    Variant,
    read_manifest,
    verify_files,
)
from bundle.model import choose_variant
from common.durable_files import sha256_file, write_atomically
from export.errors import OptionError

MODEL_FILE, CONFIG_FILE = "model.onnx", "config.pbtxt"
ENGINE_CACHE = "/tmp/ear-teacher-engines"
"""In Triton's container, whose model repository may be read-only."""
MODELS: dict[Graph, str] = {"encoder": "ear-encoder", "decoder": "ear-decoder"}
"""Named as the service names them in the Open Inference Protocol."""
TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "int32": "TYPE_INT32", "int64": "TYPE_INT64"}


@dataclass(frozen=True)
class TritonOptions:
    """How Triton is to run the models."""

    device: str = "auto"
    """`gpu`, `cpu`, or `auto`: what Triton finds."""
    precision: str = "auto"
    """Variant of the bundle; auto: fp16 on a GPU, what the exporter measured as best on a CPU."""
    tensorrt: bool = False
    """Let ONNX Runtime's TensorRT accelerator build an engine at load time (GPU only)."""
    batches: tuple[int, ...] = (1, 8, 32)
    """Warmed up, and preferred by the dynamic batcher; the last is the largest that is run."""
    max_delay_us: int = 2000
    """Longest that a request waits for others to share a batch, microseconds."""
    instances: int = 1
    """Copies of each model."""

    def __post_init__(self) -> None:
        if self.device not in ("auto", "gpu", "cpu"):
            raise OptionError(f"--device {self.device!r}: allowed are auto, gpu and cpu")
        if not self.batches or list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 1:
            raise OptionError(f"--batches {self.batches}: give growing sizes from 1 on, such as 1,8,32")
        if self.tensorrt and self.device == "cpu":
            raise OptionError("--tensorrt needs a GPU: leave --device cpu away")
        if self.instances < 1 or self.max_delay_us < 0:
            raise OptionError("--instances must be at least 1 and --max-delay-us at least 0")


def write_repository(bundle: Path, repository: Path, options: TritonOptions) -> dict[str, int]:
    """Add a bundle to a model repository, as the next version of each model.

    Returns:
        Model name -> version. A model whose file is there already keeps its version.

    Raises:
        BundleError: the bundle is not whole or has no such variant.
    """
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest)
    versions = {}
    for graph, name in MODELS.items():
        variant = _variant(manifest, graph, options)
        folder = repository / name
        folder.mkdir(parents=True, exist_ok=True)
        versions[name] = _place(bundle, variant.file, manifest.files[variant.file].sha256, folder)
        text = config_text(manifest, graph, variant, options)
        write_atomically(folder / CONFIG_FILE, text.encode())
    return versions


def config_text(manifest: Manifest, graph: Graph, variant: Variant, options: TritonOptions) -> str:
    """`config.pbtxt` of one model, in protobuf's text format."""
    contract = manifest.tensors[graph]
    sections = [
        f'name: "{MODELS[graph]}"\nbackend: "onnxruntime"\nmax_batch_size: {options.batches[-1]}',
        _tensors("input", contract.inputs),
        _tensors("output", contract.outputs),
        _batcher(options),
        f"instance_group [\n  {{ kind: KIND_{options.device.upper()}, count: {options.instances} }}\n]",
        "version_policy { latest { num_versions: 2 } }",
        _warm_up(contract, options.batches),
        _parameters(manifest, variant),
    ]
    if options.tensorrt:
        sections.append(_accelerator(options.batches[-1], contract.inputs[0]))
    return "\n".join(sections) + "\n"


def _variant(manifest: Manifest, graph: Graph, options: TritonOptions) -> Variant:
    runtime = "onnxruntime-cpu" if options.device == "cpu" else "onnxruntime-cuda"
    return choose_variant(manifest, graph, runtime, options.precision)


def _place(bundle: Path, file: str, sha256: str, folder: Path) -> int:
    """Copy a graph into the next version's folder, complete or not at all: Triton may be polling."""
    numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
    for number in numbers:
        existing = folder / str(number) / MODEL_FILE
        if existing.is_file() and sha256_file(existing) == sha256:
            return number
    version = (numbers or [0])[-1] + 1
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as name:  # Triton reads folders with a number only
        staging = Path(name) / "version"
        staging.mkdir(mode=0o755)
        shutil.copyfile(bundle / file, staging / MODEL_FILE)
        shutil.copyfile(bundle / MANIFEST_NAME, staging / MANIFEST_NAME)  # Triton ignores it; it says what runs
        os.rename(staging, folder / str(version))
    return version


def _batcher(options: TritonOptions) -> str:
    """A preferred size is run at once; preferring 1 would end all batching."""
    preferred = ", ".join(str(size) for size in options.batches if size > 1)
    sizes = f"  preferred_batch_size: [ {preferred} ]\n" if preferred else ""
    return f"dynamic_batching {{\n{sizes}  max_queue_delay_microseconds: {options.max_delay_us}\n}}"


def _tensors(kind: str, tensors: Sequence[Tensor]) -> str:
    entries = [
        f'  {{ name: "{tensor.name}", data_type: {TYPES[tensor.dtype]}, {_shape(tensor)} }}' for tensor in tensors
    ]
    return f"{kind} [\n" + ",\n".join(entries) + "\n]"


def _shape(tensor: Tensor) -> str:
    """A number for each picture has no dimension but the batch; Triton wants one, which `reshape` takes off again."""
    return f"dims: [ {_dims(tensor)} ]" if tensor.shape[1:] else "dims: [ 1 ], reshape: { shape: [ ] }"


def _dims(tensor: Tensor) -> str:
    """Without the batch, which Triton adds."""
    return ", ".join(str(size) for size in tensor.shape[1:])


def _warm_up(contract: GraphContract, batches: Sequence[int]) -> str:
    (tensor,) = contract.inputs
    value = f"data_type: {TYPES[tensor.dtype]}, dims: [ {_dims(tensor)} ], random_data: true"
    return "\n".join(
        f'model_warmup {{ name: "batch {batch}", batch_size: {batch}, '
        f'inputs {{ key: "{tensor.name}", value: {{ {value} }} }} }}'
        for batch in batches
    )


def _parameters(manifest: Manifest, variant: Variant) -> str:
    values = {"space_id": manifest.space_id, "bundle_id": manifest.bundle_id, "precision": variant.precision}
    return "\n".join(
        f'parameters {{ key: "{name}", value: {{ string_value: "{value}" }} }}' for name, value in values.items()
    )


def _accelerator(max_batch: int, tensor: Tensor) -> str:
    shape = "x".join(str(size) for size in tensor.shape[1:])
    settings = {
        # Not the file's precision: FP16 would let TensorRT lower what the file keeps in float32.
        "precision_mode": "FP32",
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": ENGINE_CACHE,
        "trt_profile_min_shapes": f"{tensor.name}:1x{shape}",
        "trt_profile_opt_shapes": f"{tensor.name}:{max_batch}x{shape}",
        "trt_profile_max_shapes": f"{tensor.name}:{max_batch}x{shape}",
    }
    lines = "\n".join(f'    parameters {{ key: "{name}", value: "{value}" }}' for name, value in settings.items())
    return (
        "optimization { execution_accelerators {\n  gpu_execution_accelerator [ {\n"
        f'    name: "tensorrt"\n{lines}\n  }} ]\n}} }}'
    )
