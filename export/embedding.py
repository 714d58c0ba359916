"""Gives a bundle's encoder another embedding: the aligned branch takes the place of the identity head in its graphs.

mu, logvar and the decoder stay what they are; `embedding`, and with it `space_id`, golden outputs and calibration, are
new. Works on the bundle's ONNX files, so no checkpoint is needed. The folder is replaced as a whole or not at all.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bundle.fingerprint import space_id
from bundle.golden import GOLDEN_NAME, SPREAD, write_golden
from bundle.manifest import (
    EarSpread,
    FileEntry,
    GraphContract,
    Manifest,
    Precision,
    Tensor,
    Variant,
    read_manifest,
    verify_files,
    write_manifest,
)
from bundle.runtimes import open_session
from common.provenance import utc_now
from export.crops import Crops
from export.errors import GraphError, NoCrops
from export.folder import move_into_place, refuse_existing, staging
from export.graph.branch import EMBEDDING, OWN, BranchGraph, replace_embedding
from export.graph.wrappers import ENCODER_INPUT
from export.latents import Calibrated, calibrated, saved_calibration
from export.model_card import write_papers
from export.parity.judge import LIMITS, ParityError, ParityRow, judge_encoder
from export.parity.reference import Outputs, batches, run_session, run_torch
from export.parity.variants import RUNTIME
from measure.errors import MeasureError
from measure.protocol import evaluate
from training.data.trained_on import FILE as RECORD
from training.data.trained_on import TrainedOn
from training.embedding.branch import GEOMETRY, EarBranch

logger = logging.getLogger(__name__)


def attach_branch(
    bundle: Path,
    out: Path,
    branch: EarBranch,
    facts: Mapping[str, Any],
    crops: Crops,
    photographs: Sequence[Mapping[str, Any]] = (),
    force: bool = False,
    trained_on: TrainedOn | None = None,
    measured: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write `bundle` with the embedding of `branch` to `out` (which may be `bundle`, with `force`).

    Args:
        bundle: a whole bundle whose crops are 128 px and whose embedding is as long as the branch's.
        out: the new bundle's folder.
        branch: the embedding.
        facts: what the branch was learned on, plain values; they stand in the manifest and on the model card.
        crops: framed crops to compare on, and, where they are `held_out`, to calibrate on.
        photographs: figures on photographs for the model card: `set`, `people`, `queries`, `rank1`, `eer` each.
        force: replace `out`.
        trained_on: on whom networks, branch and projection were learned, for the new bundle's record; None: not known.
        measured: metrics of the checkpoint that the bundle was exported from, where it carries this very branch:
            figures, slices and calibration are then of this embedding already, and stay.

    Raises:
        ParityError: a graph does not agree with torch; nothing was written.
        GraphError: the branch does not fit the bundle.
        NoCrops: fewer than 3 crops.
        TargetExists: `out` is there.
    """
    refuse_existing(out, force)
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest)
    if (manifest.framing.size_px, manifest.latent_dim) != (128, branch.project.out_features):
        raise GraphError(
            f"{bundle} has crops of {manifest.framing.size_px} px and {manifest.latent_dim} numbers a vector; the "
            f"branch takes 128 px and gives {branch.project.out_features}"
        )
    if len(crops) < 3:
        raise NoCrops(f"--crops: {len(crops)} pictures; at least 3 different ones are needed")
    reference = _of_torch(branch, crops.pixels)
    with staging(out) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
        rows: list[ParityRow] = []
        for variant in _encoders(manifest):
            logger.info("%s: replacing the embedding", variant.file)
            replace_embedding(bundle / variant.file, branch, folder / variant.file)
            rows += _judge(bundle / variant.file, folder / variant.file, variant.precision, reference, crops)
        if refused := [row for row in rows if not row.passed]:
            raise ParityError(f"no bundle was written: {'; '.join(refused[0].refusals)}", tuple(rows))
        _write_golden(folder, branch)
        _write_record(folder, trained_on)
        manifest = _manifest(manifest, folder, branch, rows, reference[SPREAD])
        manifest = _described(manifest, facts, photographs, _judged(reference[EMBEDDING], crops, measured))
        manifest = write_manifest(folder, write_papers(folder, manifest))
        move_into_place(folder, out, force)
    return manifest


def _encoders(manifest: Manifest) -> list[Variant]:
    return [variant for variant in manifest.variants if variant.graph == "encoder"]


def _of_torch(branch: EarBranch, pixels: np.ndarray[Any, Any]) -> Outputs:
    return run_torch(BranchGraph(branch.eval()), pixels, OWN, 16)


def _judge(old: Path, new: Path, precision: Precision, reference: Outputs, crops: Crops) -> list[ParityRow]:
    """Rows of the new file: embedding and spread against torch's, mu and logvar against the file it replaces."""
    before, after = (open_session(path, RUNTIME, precision=precision) for path in (old, new))
    try:
        expected: Outputs = run_session(before, ENCODER_INPUT, crops.pixels, 16) | reference
        rows = []
        for batch, count in batches(len(crops), 32):
            outputs = run_session(after, ENCODER_INPUT, crops.pixels[:count], batch)
            row = ParityRow("encoder", precision, RUNTIME, batch, count)
            identities = None if crops.identities is None else crops.identities[:count]
            first = {name: values[:count] for name, values in expected.items()}
            rows.append(judge_encoder(row, first, outputs, LIMITS[precision], identities))
        return rows
    finally:
        before.close()
        after.close()


def _write_golden(folder: Path, branch: EarBranch) -> None:
    with np.load(folder / GOLDEN_NAME, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    crops = arrays.pop("crops")
    write_golden(folder, crops, arrays | _of_torch(branch, crops))


def _write_record(folder: Path, trained_on: TrainedOn | None) -> None:
    """Put the record in the place of the one of the bundle before."""
    (folder / RECORD).unlink(missing_ok=True)
    if trained_on is not None:
        (folder / RECORD).write_text(json.dumps(trained_on.to_dict()), encoding="utf-8")


def _manifest(old: Manifest, folder: Path, branch: EarBranch, rows: list[ParityRow], spread: Any) -> Manifest:
    """The manifest with the new files, their parity and their space. spread: of the comparison crops."""
    tensors = {name: value.numpy() for name, value in branch.state_dict().items()}
    replaced = {variant.file for variant in _encoders(old)}
    largest = {row.precision: row for row in rows}
    variants = [
        item.model_copy(update={"parity": largest[item.precision].to_dict()}) if item.graph == "encoder" else item
        for item in old.variants
    ]
    files = {
        name: FileEntry.of(folder / name) if name in (*replaced, GOLDEN_NAME) else entry
        for name, entry in old.files.items()
        if name != RECORD
    }
    if (folder / RECORD).is_file():
        files[RECORD] = FileEntry.of(folder / RECORD)
    others = [row for row in old.parity.get("rows", []) if row["graph"] != "encoder"]
    return old.model_copy(
        update={
            "bundle_id": "",
            "space_id": space_id(tensors, {"mu": _mu_space(old), "embedding": GEOMETRY}, old.framing),
            "created": utc_now(),
            "files": files,
            "variants": variants,
            "tensors": {**old.tensors, "encoder": _contract(old.tensors["encoder"])},
            "ear_spread": EarSpread(median=float(np.median(spread))),
            "parity": {**old.parity, "rows": [*(row.to_dict() for row in rows), *others], "crops": len(spread)},
            "training": {**old.training, "embedding": {"mu_space_id": _mu_space(old)}},
        }
    )


def _mu_space(manifest: Manifest) -> str:
    return str(manifest.training.get("embedding", {}).get("mu_space_id", manifest.space_id))


class _Judged(NamedTuple):
    """What is known of the new embedding's worth."""

    training: dict[str, Any]
    """Entries of the manifest's `training`, of `metrics` those that change."""
    calibrated: Calibrated


def _judged(embedding: Any, crops: Crops, measured: Mapping[str, Any] | None) -> _Judged:
    made = calibrated(embedding, crops)
    if measured is not None:
        made = saved_calibration(measured) or made
        return _Judged({"calibrated_on": made.on}, made)
    metrics = _figures(embedding, crops)
    on = {"validated_on": crops.exposure, "calibrated_on": made.on}
    return _Judged({"metrics": metrics, "slices": [], "judged_on": {}, **on}, made)


def _described(
    manifest: Manifest, facts: Mapping[str, Any], photographs: Sequence[Mapping[str, Any]], judged: _Judged
) -> Manifest:
    """The manifest with what the embedding was learned on and how good it is."""
    old, new = manifest.training, judged.training
    if "metrics" in new:
        kept = {name: value for name, value in old.get("metrics", {}).items() if name in ("psnr_db", "ssim")}
        new = {**new, "metrics": {**kept, **new["metrics"]}}
    embedding = {**old["embedding"], **facts}
    training = {**old, **new, "embedding": embedding, "photographs": list(photographs)}
    return manifest.model_copy(update={"training": training, "calibration": judged.calibrated.calibration})


def _contract(old: GraphContract) -> GraphContract:
    """The encoder's edges with `spread` as the last output."""
    others = [tensor for tensor in old.outputs if tensor.name != SPREAD]
    spread = Tensor(name=SPREAD, dtype="float32", shape=others[0].shape[:1])
    return GraphContract(inputs=old.inputs, outputs=[*others, spread])


def _figures(embedding: Any, crops: Crops) -> dict[str, float]:
    """Rank-1 and equal error rate by person, whichever ear, on comparison crops whose people are known."""
    if crops.identities is None:
        return {}
    try:
        people = [identity[0] if isinstance(identity, tuple) else identity for identity in crops.identities]
        result = evaluate(embedding, people)
    except MeasureError:
        return {}
    return {"rank1": float(result.rank1), "eer": float(result.eer)}
