"""`manifest.json`: the typed page that makes a folder a bundle. It is written LAST, so its presence means complete.

Knows the shape of a bundle and the identity of its files, not what is in them: sessions, golden outputs and the
meaning of parity and training figures belong to other modules.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from bundle.errors import ChecksumError, ContractError, ManifestError
from bundle.fingerprint import SPACE_PATTERN, bundle_id
from bundle.framing import Framing
from common.durable_files import sha256_file, write_atomically

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1

Graph = Literal["encoder", "decoder", "landmarks"]
Precision = Literal["fp32", "fp16"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
"""A plain name inside the bundle's folder: no path may lead out of it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileEntry(_Strict):
    """What a file must be."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=0)]

    @classmethod
    def of(cls, path: str | Path) -> FileEntry:
        """Measure a file that was just written."""
        return cls(sha256=sha256_file(path), size_bytes=os.path.getsize(path))


class Tensor(_Strict):
    """One input or output of a graph. A dimension that is a word (`batch`) is free."""

    name: str
    dtype: Literal["uint8", "int32", "int64", "float16", "float32"]
    shape: list[int | str]


class GraphContract(_Strict):
    """Names, dtypes and shapes at the edges of a graph, in order."""

    inputs: list[Tensor]
    outputs: list[Tensor]


class Variant(_Strict):
    """One file that computes a graph at one precision."""

    graph: Graph
    precision: Precision
    file: FileName
    sam_size_px: int | None = None
    default_for: list[str] = []
    """Runtimes on which `precision="auto"` takes this variant, by the exporter's measurement."""
    parity: dict[str, Any] = {}
    """The parity judge's figures for this file."""


class GoldenTolerance(_Strict):
    """How near a session of one precision must come to the golden outputs."""

    cosine_min: Annotated[float, Field(ge=0, le=1)]
    """Of embedding and mu, for the worst crop."""
    psnr_min_db: Annotated[float, Field(ge=0)]
    """Of the decoded picture against torch's, for the worst crop."""


DEFAULT_GOLDEN: dict[str, GoldenTolerance] = {
    "fp32": GoldenTolerance(cosine_min=0.9999, psnr_min_db=48.0),
    "fp16": GoldenTolerance(cosine_min=0.999, psnr_min_db=40.0),
}


class EarSpread(_Strict):
    """The spread that ears have: what the encoder's output `spread` is judged against.

    A crop's likeness to an ear is 1 / (1 + (spread / (middle * median)) ** steepness). middle and steepness are of a
    logistic regression on log(spread / median), fitted to rendered ears and to drawn pictures without ears
    (`synth.pictures.doodles`, noise, plain areas, shuffled parts of ears) that weigh the same; no photographs.
    """

    median: Annotated[float, Field(gt=0)]
    """Of the comparison crops, which are ears."""
    middle: Annotated[float, Field(gt=0)] = 2.16
    steepness: Annotated[float, Field(gt=0)] = 9.5

    def likeness(self, spread: float) -> float:
        """0 (none) to 1 (ear)."""
        return float(1.0 / (1.0 + (max(spread, 0.0) / (self.middle * self.median)) ** self.steepness))


class Manifest(_Strict):
    """Everything that a service must know of a bundle."""

    schema_version: Literal[1] = 1
    space_id: Annotated[str, Field(pattern=SPACE_PATTERN)]
    bundle_id: str = ""
    """Left empty by the exporter: `write_manifest` fills it in."""
    created: str
    """ISO 8601, UTC."""
    preset: str
    sam_size_px: int | None = None
    """Side of the encoder's own input; None for an encoder without SAM."""
    latent_dim: Annotated[int, Field(ge=1)]
    framing: Framing = Framing()
    tensors: dict[Graph, GraphContract]
    files: dict[FileName, FileEntry]
    variants: list[Variant]
    ear_spread: EarSpread | None = None
    """None where the encoder has no output `spread`."""
    golden: dict[str, GoldenTolerance] = DEFAULT_GOLDEN
    """By precision; a bundle may name precisions that this version no longer reads."""
    parity: dict[str, Any] = {}
    training: dict[str, Any] = {}
    """Metrics and provenance: data hash, git commit, versions, seed."""
    calibration: dict[str, Any] | None = None
    """`measure.calibration.Calibration.to_dict()`."""

    @field_validator("framing", mode="before")
    @classmethod
    def _known_framing(cls, value: Any) -> Any:
        return Framing.from_dict(value) if isinstance(value, dict) else value

    @field_serializer("framing")
    def _framing_values(self, framing: Framing) -> dict[str, int | float | str]:
        return framing.to_dict()

    @model_validator(mode="after")
    def _whole(self) -> Manifest:
        for variant in self.variants:
            if variant.file not in self.files:
                raise ValueError(f"variant {variant.graph} {variant.precision}: {variant.file} is not among files")
            if variant.graph not in self.tensors:
                raise ValueError(f"variant {variant.graph} {variant.precision}: tensors has no {variant.graph}")
        if missing := {"encoder", "decoder"} - {variant.graph for variant in self.variants}:
            raise ValueError(f"no variant of {sorted(missing)}: a bundle needs an encoder and a decoder")
        return self

    def values(self) -> dict[str, Any]:
        """As plain JSON values, as they stand in the file."""
        return self.model_dump(mode="json")


def read_manifest(folder: str | Path) -> Manifest:
    """Read and check `manifest.json`: its schema, and that `bundle_id` is that of its text. Raises ManifestError."""
    path = Path(folder) / MANIFEST_NAME
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ManifestError(
            f"{folder} is not a bundle: it has no {MANIFEST_NAME} (the export did not finish?)"
        ) from None
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
        version = values.get("schema_version") if isinstance(values, dict) else type(values).__name__
        raise ManifestError(
            f"{path} has schema_version {version!r}; this version of ear-teacher reads {SCHEMA_VERSION}"
        )
    try:
        manifest = Manifest.model_validate(values)
        actual = bundle_id(values)
    except (ValidationError, ContractError) as error:
        raise ManifestError(f"{path} is not a valid manifest: {_first(error)}") from error
    if manifest.bundle_id != actual:
        raise ManifestError(f"{path} was changed: its bundle_id is {manifest.bundle_id!r}, its text gives {actual}")
    return manifest


def write_manifest(folder: str | Path, manifest: Manifest) -> Manifest:
    """Write `manifest.json` atomically (temporary file, fsync, rename, fsync of the folder) and return it with its id.

    Call it last: every file it names must be there with its size, else ChecksumError.
    """
    folder = Path(folder)
    for name, entry in manifest.files.items():
        _check_size(folder, name, entry)
    values = manifest.values()
    values["bundle_id"] = bundle_id(values)
    text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(folder / MANIFEST_NAME, text.encode())
    return Manifest.model_validate(values)


def verify_files(folder: str | Path, manifest: Manifest) -> None:
    """Compare the size and SHA-256 of every file with the manifest. Raises ChecksumError that names the file."""
    for name, entry in manifest.files.items():
        _check_size(Path(folder), name, entry)
        actual = sha256_file(Path(folder) / name)
        if actual != entry.sha256:
            raise ChecksumError(
                f"{Path(folder) / name} was changed: its SHA-256 is {actual[:12]}…, the manifest says "
                f"{entry.sha256[:12]}…; copy or export the bundle again"
            )


def _check_size(folder: Path, name: str, entry: FileEntry) -> None:
    try:
        size = os.path.getsize(folder / name)
    except OSError:
        raise ChecksumError(f"{folder / name} is missing; the manifest names it") from None
    if size != entry.size_bytes:
        raise ChecksumError(f"{folder / name} has {size:,} bytes; the manifest says {entry.size_bytes:,}")


def _first(error: ValidationError | ContractError) -> str:
    if isinstance(error, ContractError):
        return str(error)
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place + ': ' if place else ''}{problem['msg']}"
