"""A served model: a bundle's encoder and decoder behind numpy arrays.

`load` checks the bundle, picks variant and runtime, and gives an EarModel. Knows crops and latents; framing of pictures
is `bundle.image`, queues and HTTP are the service's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleError, ContractError, RuntimeUnavailable
from bundle.golden import SPREAD, GoldenReport, check
from bundle.image import Picture
from bundle.manifest import Graph, GraphContract, Manifest, Variant, read_manifest, verify_files
from bundle.runtimes import candidates, open_session, unavailable
from bundle.session import AUTO, Session, Signature

Vectors = NDArray[np.float32]

UNIT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Encoding:
    """What the encoder gives for B crops; (B, D) float32 each."""

    embedding: Vectors
    """Unit length: for finding ears."""
    mu: Vectors
    """The whole picture, light and skin too: what the decoder takes and the gallery stores."""
    logvar: Vectors
    spread: Vectors | None = None
    """(B,): expected error of the ear's landmarks as a share of the crop's side; None where the encoder gives none."""


class EarModel:
    """An encoder and a decoder that belong together. Thread-safe as far as its sessions are."""

    def __init__(self, folder: str | Path, manifest: Manifest, encoder: Session, decoder: Session) -> None:
        self.folder, self.manifest = Path(folder), manifest
        self.space_id, self.bundle_id, self.latent_dim = manifest.space_id, manifest.bundle_id, manifest.latent_dim
        self.runtime, self.precision = encoder.runtime, encoder.precision
        self.requested = encoder.runtime
        """The runtime asked for: "auto", or the name of one."""
        self.passed_over: tuple[str, ...] = ()
        """Why a faster runtime, or the one asked for, does not answer: `name: cause`, one sentence each."""
        self.encoder_buckets, self.decoder_buckets = encoder.buckets, decoder.buckets
        self.encoder_slots, self.decoder_slots = encoder.slots, decoder.slots
        self._encoder, self._decoder = encoder, decoder

    @property
    def has_spread(self) -> bool:
        """Whether the encoder says how sure it is of the ear's landmarks."""
        return any(tensor.name == SPREAD for tensor in self.manifest.tensors["encoder"].outputs)

    def encode(self, crops: Picture) -> Encoding:
        """crops: (B, S, S, 3) uint8 RGB, framed, left-oriented. Raises ContractError on anything else."""
        side = self.manifest.framing.size_px
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (side, side, 3) or len(crops) == 0:
            raise ContractError(
                f"crops are {crops.shape} {crops.dtype}; needed is (B, {side}, {side}, 3) uint8, B >= 1"
            )
        outputs = self._encoder.run({"image": np.ascontiguousarray(crops)})
        return Encoding(outputs["embedding"], outputs["mu"], outputs["logvar"], outputs.get(SPREAD))

    def decode(self, latents: Vectors) -> Picture:
        """latents: (B, D) float32, a `mu` each. Returns (B, S, S, 3) uint8 RGB. Raises ContractError."""
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or len(latents) == 0:
            raise ContractError(f"latents are {latents.shape}; needed is (B, {self.latent_dim}) float32, B >= 1")
        latents = np.ascontiguousarray(latents, dtype=np.float32)
        lengths = np.linalg.norm(latents, axis=1)
        if not np.isfinite(lengths).all():
            raise ContractError(f"latent {int(np.argmin(np.isfinite(lengths)))} is not finite")
        if unit := np.flatnonzero(np.abs(lengths - 1.0) < UNIT_TOLERANCE).tolist():
            raise ContractError(f"latent {unit[0]} has length 1: is it an embedding? The decoder takes `mu`")
        return np.asarray(self._decoder.run({"latent": latents})["image"])

    def check_golden(self) -> GoldenReport:
        """Reproduce `golden.npz` within the manifest's tolerance, or raise GoldenMismatch."""
        return check(self._encoder, self._decoder, self.folder, self.manifest.golden)

    def close(self) -> None:
        """Free both sessions."""
        self._encoder.close()
        self._decoder.close()

    def __enter__(self) -> EarModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load(
    folder: str | Path, runtime: str = AUTO, precision: str = AUTO, threads: int = 0, build: bool = True, slots: int = 1
) -> EarModel:
    """Load a bundle whose every byte is as its manifest says.

    runtime: one of `bundle.session.RUNTIMES`, or "auto": the fastest that loads and, where there is a choice, passes
    the golden check. A TensorRT runtime asked for by name builds engines that are missing (minutes); "auto" does not.
    precision: fp32, fp16, or "auto": what the exporter measured as best for the runtime. threads: of the CPU,
    0 for one a physical core. build: False: an engine that is missing is EngineAbsent. slots: batches that a GPU has at
    once, of each graph.
    Raises ManifestError, ChecksumError, ContractError, RuntimeUnavailable, EngineError or GoldenMismatch.
    """
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    if runtime != AUTO:
        return _open_model(Path(folder), manifest, runtime, precision, threads, slots, build)
    *faster, last = candidates() or ("onnxruntime-cpu",)
    passed_over = unavailable()
    for name in faster:
        try:
            model = _open_model(Path(folder), manifest, name, precision, threads, slots)
        except BundleError as error:
            passed_over.append(f"{name}: {error}")
            continue
        try:
            model.check_golden()
        except BundleError as error:
            model.close()
            passed_over.append(f"{name}: {error}")
            continue
        return _chosen(model, passed_over)
    return _chosen(_open_model(Path(folder), manifest, last, precision, threads, slots), passed_over)


def _chosen(model: EarModel, passed_over: Sequence[str]) -> EarModel:
    """A model that "auto" chose, which says why it chose no other."""
    model.requested, model.passed_over = AUTO, tuple(passed_over)
    return model


def choose_variant(manifest: Manifest, graph: Graph, runtime: str, precision: str = AUTO) -> Variant:
    """The file for a graph on a runtime: the exporter's default for it, else fp32 on CPU and fp16 on a GPU if present.

    What the export's parity judge refused on this runtime is not used. Raises RuntimeUnavailable with what there is.
    """
    refused = _refused(manifest, graph, runtime)
    if precision in refused:
        raise RuntimeUnavailable(
            f"the export's parity judge refused the {graph} at {precision} on {runtime}: {refused[precision]}"
        )
    of_graph = [item for item in manifest.variants if item.graph == graph and item.precision not in refused]
    matching = [variant for variant in of_graph if precision in (AUTO, variant.precision)]
    if not matching:
        available = ", ".join(sorted({variant.precision for variant in of_graph})) or "none"
        raise RuntimeUnavailable(f"the bundle has no {graph} at precision {precision!r}; it has: {available}")
    preferred = ("fp32", "fp16") if runtime == "onnxruntime-cpu" else ("fp16", "fp32")
    return min(matching, key=lambda variant: (runtime not in variant.default_for, preferred.index(variant.precision)))


def _refused(manifest: Manifest, graph: Graph, runtime: str) -> dict[str, str]:
    """Precision -> the first reason why the parity judge refused a graph on a runtime."""
    rows = [row for row in manifest.parity.get("rows", []) if (row["graph"], row["runtime"]) == (graph, runtime)]
    return {row["precision"]: row["refusals"][0] for row in rows if row["refusals"]}


def _open_model(
    folder: Path, manifest: Manifest, runtime: str, precision: str, threads: int, slots: int, build: bool = False
) -> EarModel:
    def open_graph(variant: Variant) -> Session:
        session = open_session(folder / variant.file, runtime, threads, variant.precision, build, slots)
        try:
            check_contract(session.signature(), manifest.tensors[variant.graph], variant.file)
        except ContractError:
            session.close()
            raise
        return session

    encoder = open_graph(choose_variant(manifest, "encoder", runtime, precision))
    try:
        variant = choose_variant(manifest, "decoder", runtime, precision)
    except RuntimeUnavailable:  # the precision asked for is the encoder's: not every one has a decoder
        variant = choose_variant(manifest, "decoder", runtime)
    try:
        decoder = open_graph(variant)
    except BundleError:
        encoder.close()
        raise
    return EarModel(folder, manifest, encoder, decoder)


def check_contract(signature: Signature, contract: GraphContract, name: str) -> None:
    """Raise ContractError unless a session's edges are those of the manifest; free sizes must be free in both."""
    for kind, edges, tensors in (
        ("input", signature.inputs, contract.inputs),
        ("output", signature.outputs, contract.outputs),
    ):
        expected = {tensor.name: (tensor.dtype, _free(tensor.shape)) for tensor in tensors}
        actual = {key: (dtype, _free(shape)) for key, (dtype, shape) in edges.items()}
        if actual != expected:
            raise ContractError(f"{name}: {kind}s are {actual}; the manifest says {expected}")


def _free(shape: Any) -> tuple[int, ...]:
    return tuple(-1 if isinstance(size, str) else size for size in shape)
