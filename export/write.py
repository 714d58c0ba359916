"""Checkpoint -> bundle folder: exports every variant, has the parity judge compare it, writes the manifest last.

Knows the order of the steps; each step lives in a module of its own.
"""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bundle.fingerprint import space_id
from bundle.framing import Framing
from bundle.golden import write_golden
from bundle.manifest import FileEntry, Graph, Manifest, Precision, Variant, write_manifest
from common.provenance import commit, installed, utc_now
from export.config import ExportConfig
from export.crops import Crops
from export.embedding import attach_branch
from export.folder import move_into_place, refuse_existing, staging
from export.graph.attention import attention_form
from export.graph.fp16 import store_half
from export.graph.rewrite import rewrite
from export.latents import Calibrated, latent_statistics
from export.model_card import write_papers
from export.parity.judge import LIMITS, ParityError, ParityRow
from export.parity.reference import Reference, golden_outputs, make_reference
from export.parity.variants import (
    RUNTIME,
    contracts,
    decides,
    file_name,
    judge_emulated_fp16,
    judge_other_runtimes,
    judge_variant,
    unstable_modules,
    write_variant,
)
from training.checkpoint import Checkpoint, read_checkpoint
from training.data import trained_on
from training.data.trained_on import TrainedOn
from training.embedding.branch import unpack_branch
from training.networks.vae import EarVAE

logger = logging.getLogger(__name__)

GRAPHS: tuple[Graph, ...] = ("encoder", "decoder")
NO_FIGURES = ("calibration", "calibrated_on", "validated_on", "slices", "judged_on")
"""Entries of a checkpoint's metrics that have places of their own in the manifest."""
PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy")


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    crops: NDArray[np.uint8],
    identities: Sequence[Hashable] | None = None,
    config: ExportConfig | None = None,
) -> Manifest:
    """Export a checkpoint. Steps are logged.

    Args:
        checkpoint: a `.ckpt` written by `ear-teacher train`.
        out: the bundle's folder; must not exist unless `config.force`.
        crops: (N, S, S, 3) uint8 RGB, framed, left orientation, N >= 3, best of people the model has not seen.
        identities: whose ear each crop shows, where known: rank-1 and EER are then compared too, and a bundle whose
            checkpoint brings no calibration gets one if `config.held_out`.
        config: what to export and how strictly.

    Returns:
        The manifest. `manifest.parity["refused"]` names variants that are not in the bundle because they disagree with
        torch, and `["refused_on"]` those that do so on one runtime of this machine.

    Raises:
        TargetExists: `out` is there.
        ParityError: a float32 graph was refused; nothing was written.
        GraphError: a graph cannot be exported.
        CheckpointError: `checkpoint` cannot be read.
    """
    config, out = config or ExportConfig(), Path(out)
    refuse_existing(out, config.force)
    saved = read_checkpoint(checkpoint)
    vae = EarVAE.load_from_checkpoint(checkpoint).requires_grad_(False)
    names = None if identities is None else tuple(identities)
    comparison = Crops(
        crops, names, exposure=config.held_out, held_out=bool(config.held_out), name=config.calibrated_on
    )
    reference = make_reference(vae, comparison, config)
    with staging(out) as folder:
        rows = _write_variants(vae, reference, folder, config)
        _refuse_broken(rows)
        logger.info("golden crops, eigenears, model card")
        write_golden(folder, *golden_outputs(vae, len(reference.crops)))
        if saved.trained_on:
            (folder / trained_on.FILE).write_text(json.dumps(saved.trained_on), encoding="utf-8")
        calibration = latent_statistics(folder, comparison, reference, saved.metrics)
        manifest = _manifest(vae, saved, folder, rows, reference, config, calibration)
        manifest = write_manifest(folder, write_papers(folder, manifest))
        if saved.branch is not None:
            logger.info("embedding: the aligned branch that the checkpoint carries")
            manifest = _with_branch(folder, saved, comparison, checkpoint)
        move_into_place(folder, out, config.force)
    return manifest


def _with_branch(folder: Path, saved: Checkpoint, crops: Crops, checkpoint: str | Path) -> Manifest:
    """The bundle with the checkpoint's aligned embedding; what `ear-teacher evaluate` measured was measured with it."""
    carried = unpack_branch(saved.branch, checkpoint)
    record = TrainedOn.from_dict(saved.trained_on)
    return attach_branch(
        folder, folder, carried.branch, carried.facts, crops, force=True, trained_on=record, measured=saved.metrics
    )


def _write_variants(vae: EarVAE, reference: Reference, folder: Path, config: ExportConfig) -> list[ParityRow]:
    """Export and judge every graph at every precision; the file of a refused one is deleted."""
    rows: list[ParityRow] = []
    for precision in cast(tuple[Precision, ...], config.precisions):
        form = attention_form(precision, config.opset, config.portable)
        rewritten = rewrite(vae, form)
        for graph in GRAPHS:
            logger.info("%s: exporting, opset %d", file_name(graph, precision), config.opset)
            path = write_variant(rewritten, graph, precision, folder, config.opset, config.keep_float32)
            if config.half_weights and precision == "fp32":
                store_half(path)
            judged = judge_variant(path, graph, precision, reference, config.max_batch)
            if precision == "fp16":
                passed = all(row.passed for row in judged)
                judged.append(_emulated_row(rewritten, graph, reference, config, passed))
            rows += judged
            if all(row.passed for row in judged):
                rows += judge_other_runtimes(path, graph, precision, reference, config.max_batch)
            else:
                path.unlink()
    return rows


def _emulated_row(
    rewritten: EarVAE, graph: Graph, reference: Reference, config: ExportConfig, passed: bool
) -> ParityRow:
    """The fp16 variant as a GPU would compute it and, where it fails there or in the runtime, the modules at fault."""
    row = judge_emulated_fp16(rewritten, graph, reference, config.keep_float32)
    if row.passed and passed:
        return row
    modules = [str(module) for module in unstable_modules(rewritten, graph, reference, config.keep_float32)]
    cause = "; ".join(modules) or "no single layer: attention scores, residual sums or the runtime"
    return replace(row, refusals=(*row.refusals, f"does not bear float16: {cause}"))


def _refuse_broken(rows: Sequence[ParityRow]) -> None:
    """A bundle cannot do without its float32 graphs."""
    broken = [row for row in rows if row.precision == "fp32" and decides(row) and not row.passed]
    if broken:
        what = "; ".join(f"{row.graph} at batch {row.batch}: {', '.join(row.refusals)}" for row in broken)
        raise ParityError(f"the float32 graphs do not agree with torch, no bundle was written: {what}", tuple(rows))


def _manifest(
    vae: EarVAE,
    saved: Checkpoint,
    folder: Path,
    rows: Sequence[ParityRow],
    reference: Reference,
    config: ExportConfig,
    calibrated: Calibrated,
) -> Manifest:
    files = {path.name: FileEntry.of(path) for path in sorted(folder.iterdir())}
    architecture = saved.config.to_dict()
    framing = Framing(size_px=saved.config.image_size_px)
    return Manifest(
        space_id=space_id(encoder_tensors(vae), encoder_architecture(architecture), framing),
        created=utc_now(),
        preset=saved.config.preset,
        sam_size_px=saved.config.sam.image_size_px,
        latent_dim=saved.config.latent_dim,
        framing=framing,
        tensors=contracts(saved.config),
        files=files,
        variants=[variant for variant in _variants(rows, saved.config.sam.image_size_px) if variant.file in files],
        parity=_parity(rows, reference, config),
        training={
            "metrics": {name: value for name, value in saved.metrics.items() if name not in NO_FIGURES},
            "slices": saved.metrics.get("slices", []),
            "judged_on": saved.metrics.get("judged_on", {}),
            "validated_on": saved.metrics.get("validated_on", ""),
            "calibrated_on": calibrated.on,
            "provenance": saved.provenance,
            "architecture": architecture,
        },
        calibration=calibrated.calibration,
    )


def encoder_tensors(vae: EarVAE) -> dict[str, NDArray[Any]]:
    """The canonical float32 tensors that name an embedding space: encoder and identity head, as trained."""
    parts = {"encoder": vae.encoder, "identity": vae.identity}
    return {
        f"{part}.{name}": tensor.detach().cpu().numpy()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }


def encoder_architecture(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a model configuration that shape the encoder; names and the decoder's widths do not count."""
    return {name: architecture[name] for name in ("sam", "latent_dim", "image_size_px", "block_channels")}


def _variants(rows: Sequence[ParityRow], sam_size_px: int) -> list[Variant]:
    rows_of: dict[tuple[str, str], list[ParityRow]] = {}
    for row in filter(decides, rows):
        rows_of.setdefault((row.graph, row.precision), []).append(row)
    return [
        Variant(
            graph=cast(Graph, graph),
            precision=cast(Precision, precision),
            file=file_name(cast(Graph, graph), cast(Precision, precision)),
            sam_size_px=sam_size_px if graph == "encoder" else None,
            default_for=[RUNTIME] if precision == "fp32" else [],
            parity=max(judged, key=lambda row: row.crops).to_dict(),
        )
        for (graph, precision), judged in rows_of.items()
        if all(row.passed for row in judged)
    ]


def _parity(rows: Sequence[ParityRow], reference: Reference, config: ExportConfig) -> dict[str, Any]:
    return {
        "reference": "torch, float32, CPU, networks as trained",
        "crops": len(reference.crops),
        "limits": {precision: LIMITS[precision].to_dict() for precision in config.precisions},
        "rows": [row.to_dict() for row in rows],
        "refused": sorted({f"{row.graph} {row.precision}" for row in rows if decides(row) and not row.passed}),
        "refused_on": sorted(
            {f"{row.graph} {row.precision} on {row.runtime}" for row in rows if not decides(row) and not row.passed}
        ),
        "made_with": {
            "commit": commit(),
            "python": platform.python_version(),
            "opset": config.opset,
            "versions": installed(PACKAGES),
        },
    }
