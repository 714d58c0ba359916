"""Checkpoint -> bundle folder: exports every variant, lets the gate judge it, writes the manifest last.

Everything is written into a folder beside the target, which takes the target's name only when it is complete: a bundle
is there whole or not at all. Knows the order of the steps; each step lives in a module of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bundle.fingerprint import space_id
from bundle.framing import Framing
from bundle.golden import write_golden
from bundle.manifest import FileEntry, Graph, Manifest, Precision, Variant, write_manifest
from export.config import ExportConfig
from export.crops import Crops
from export.docs.model_card import write_papers
from export.errors import TargetExists
from export.graph.attention_forms import attention_form
from export.graph.fp16_weights import store_half
from export.graph.rewrite import rewrite
from export.latents import latent_statistics
from export.parity.int8_variant import Int8Outcome, add_int8
from export.parity.judge import ParityError, ParityRow
from export.parity.limits import LIMITS
from export.parity.reference import golden_outputs, make_reference
from export.parity.runtimes import judge_elsewhere, ships
from export.parity.variants import (
    RUNTIME,
    Reference,
    contracts,
    file_name,
    judge_half,
    judge_variant,
    offenders,
    write_variant,
)
from export.provenance import made_with, now
from training.checkpoint import Checkpoint, read_checkpoint
from training.networks.vae import EarVAE

GRAPHS: tuple[Graph, ...] = ("encoder", "decoder")
NO_FIGURES = ("calibration", "slices", "judged_on")
"""Entries of a checkpoint's metrics that have places of their own in the manifest."""
Tell = Callable[[str], None]


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    crops: NDArray[np.uint8],
    identities: Sequence[Hashable] | None = None,
    config: ExportConfig | None = None,
    tell: Tell = lambda _: None,
) -> Manifest:
    """Export a checkpoint.

    Args:
        checkpoint: a `.ckpt` written by `ear-teacher train`.
        out: the bundle's folder; must not exist unless `config.force`.
        crops: (N, S, S, 3) uint8 RGB, framed, left orientation, N >= 3, best of people the model has not seen.
        identities: whose ear each crop shows, where known: the gate then compares rank-1 and EER too, and a bundle
            whose checkpoint brings no calibration gets one.
        config: what to export and how strictly.
        tell: is called with a line of text at each step.

    Returns:
        The manifest. `manifest.parity["refused"]` names variants that the gate kept out, and `["refused_on"]` those
        that it keeps from a runtime of this machine.

    Raises:
        TargetExists: `out` is there.
        ParityError: a float32 graph was refused; nothing was written.
        GraphError: a graph cannot be exported.
        CheckpointError: `checkpoint` cannot be read.
    """
    config, out = config or ExportConfig(), Path(out)
    _refuse_existing(out, config.force)
    saved = read_checkpoint(checkpoint)
    vae = EarVAE.load_from_checkpoint(checkpoint).requires_grad_(False)
    given = Crops(crops, None if identities is None else tuple(identities))
    reference = make_reference(vae, given, config, tell)
    with _staging(out) as folder:
        rows = _write_variants(vae, reference, folder, config, tell)
        _refuse_broken(rows)
        int8 = add_int8(folder, reference, config.max_batch, tell) if "int8" in config.precisions else None
        tell("golden crops, eigenears, model card")
        write_golden(folder, *golden_outputs(vae, len(reference.crops)))
        calibration = latent_statistics(folder, given, reference, saved.metrics)
        manifest = _manifest(vae, saved, folder, rows, int8, reference, config, calibration)
        manifest = write_manifest(folder, write_papers(folder, manifest))
        _move_into_place(folder, out, config.force)
    return manifest


def _write_variants(
    vae: EarVAE, reference: Reference, folder: Path, config: ExportConfig, tell: Tell
) -> list[ParityRow]:
    """Export and judge every graph at every precision; the file of a refused one is deleted."""
    rows: list[ParityRow] = []
    exported = [precision for precision in config.precisions if precision != "int8"]  # int8 is made of fp32's file
    for precision in cast(list[Precision], exported):
        form = attention_form(precision, config.opset, config.portable)
        rewritten = rewrite(vae, form)
        for graph in GRAPHS:
            tell(f"{file_name(graph, precision)}: exporting, opset {config.opset}")
            path = write_variant(rewritten, graph, precision, folder, config.opset, config.keep_float32)
            if config.half_weights and precision == "fp32":
                store_half(path)
            judged = judge_variant(path, graph, precision, reference, config.max_batch, tell)
            if precision == "fp16":
                judged.append(_witness(rewritten, graph, reference, config, sound=all(row.passed for row in judged)))
            rows += judged
            if all(row.passed for row in judged):
                rows += judge_elsewhere(path, graph, precision, reference, config.max_batch, tell)
            else:
                path.unlink()
    return rows


def _witness(rewritten: EarVAE, graph: Graph, reference: Reference, config: ExportConfig, sound: bool) -> ParityRow:
    """The fp16 variant as a GPU would compute it and, where it fails there or in the runtime, the layers to blame."""
    row = judge_half(rewritten, graph, reference, config.keep_float32)
    if row.passed and sound:
        return row
    named = [str(offender) for offender in offenders(rewritten, graph, reference, config.keep_float32)]
    blame = "; ".join(named) or "no single layer: attention scores, residual sums or the runtime"
    return replace(row, refusals=(*row.refusals, f"does not bear float16: {blame}"))


def _refuse_broken(rows: Sequence[ParityRow]) -> None:
    """A bundle cannot do without its float32 graphs."""
    broken = [row for row in rows if row.precision == "fp32" and ships(row) and not row.passed]
    if broken:
        what = "; ".join(f"{row.graph} at batch {row.batch}: {', '.join(row.refusals)}" for row in broken)
        raise ParityError(f"the float32 graphs do not agree with torch, no bundle was written: {what}", tuple(rows))


def _manifest(
    vae: EarVAE,
    saved: Checkpoint,
    folder: Path,
    exported: Sequence[ParityRow],
    int8: Int8Outcome | None,
    reference: Reference,
    config: ExportConfig,
    calibration: dict[str, Any] | None,
) -> Manifest:
    rows = [*exported, *(int8.rows if int8 else ())]
    files = {path.name: FileEntry.of(path) for path in sorted(folder.iterdir())}
    architecture = saved.config.to_dict()
    framing = Framing(size_px=saved.config.image_size_px)
    return Manifest(
        space_id=space_id(encoder_tensors(vae), encoder_architecture(architecture), framing),
        created=now(),
        preset=saved.config.preset,
        sam_size_px=saved.config.sam.image_size_px,
        latent_dim=saved.config.latent_dim,
        framing=framing,
        tensors=contracts(saved.config),
        files=files,
        variants=[variant for variant in _variants(rows, saved.config.sam.image_size_px) if variant.file in files],
        parity=_parity(rows, reference, config) | ({"int8": int8.to_dict()} if int8 else {}),
        training={
            "metrics": {name: value for name, value in saved.metrics.items() if name not in NO_FIGURES},
            "slices": saved.metrics.get("slices", []),
            "judged_on": saved.metrics.get("judged_on", {}),
            "provenance": saved.provenance,
            "architecture": architecture,
        },
        calibration=calibration,
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
    found: dict[tuple[str, str], list[ParityRow]] = {}
    for row in filter(ships, rows):
        found.setdefault((row.graph, row.precision), []).append(row)
    return [
        Variant(
            graph=cast(Graph, graph),
            precision=cast(Precision, precision),
            file=file_name(cast(Graph, graph), cast(Precision, precision)),
            sam_size_px=sam_size_px if graph == "encoder" else None,
            default_for=[RUNTIME] if precision == "fp32" else [],
            parity=max(judged, key=lambda row: row.crops).to_dict(),
        )
        for (graph, precision), judged in found.items()
        if all(row.passed for row in judged)
    ]


def _parity(rows: Sequence[ParityRow], reference: Reference, config: ExportConfig) -> dict[str, Any]:
    return {
        "reference": "torch, float32, CPU, networks as trained",
        "crops": len(reference.crops),
        "limits": {precision: LIMITS[precision].to_dict() for precision in config.precisions},
        "rows": [row.to_dict() for row in rows],
        "refused": sorted({f"{row.graph} {row.precision}" for row in rows if ships(row) and not row.passed}),
        "refused_on": sorted(
            {f"{row.graph} {row.precision} on {row.runtime}" for row in rows if not ships(row) and not row.passed}
        ),
        "made_with": made_with(config.opset),
    }


def _refuse_existing(out: Path, force: bool) -> None:
    if out.exists() and not force:
        raise TargetExists(f"--out {out} exists already; give --force to replace it, or another folder")
    if out.exists() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise TargetExists(
            f"--out {out} is not a bundle (it has no manifest.json); it is not replaced, even by --force"
        )


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder beside `out`, gone afterwards unless it was moved away."""
    out = out.resolve()  # where a link points, so that moving crosses no file system
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    folder.chmod(0o755)  # mkdtemp makes it private
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_into_place(folder: Path, out: Path, force: bool) -> None:
    """Give the finished folder its name. The bundle it replaces leaves only then; a link keeps pointing there."""
    out = out.resolve()
    if not out.exists():
        os.rename(folder, out)
        return
    _refuse_existing(out, force)
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    os.rename(out, old)
    os.rename(folder, out)
    shutil.rmtree(old)
