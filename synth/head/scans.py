"""How real ears differ: the identity modes of ICT-FaceKit, carried over to the ear of the MPFB2 head.

ICT-FaceKit (MIT, (c) 2020 USC Institute for Creative Technologies) is a neutral head and 100 principal components of
light-stage scans. Its ear is coarse, so only HOW ears differ is taken from it, and the mean ear as a second base;
relief finer than that is relief.py's. Whatever is derived from it keeps its licence: the cache
holds a copy beside the data.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from synth.arrays import Floats, Ints, nearest
from synth.errors import AssetsMissing
from synth.head.registration import register, similarity
from synth.head.subdivision import refine
from synth.head.template import Template
from synth.surface import vertex_normals

HEAD_VERTICES = 11248
"""Face, head and neck come first in ICT-FaceKit's files; teeth, eyes and lashes follow."""
IDENTITIES = 100
MODES = 40
"""Principal components of the ear that are kept; they carry over 99 % of its variance."""
HOW_TO_GET = "run `git clone https://github.com/ICT-VGL/ICT-FaceKit` and name its folder: --ict ICT-FaceKit"

SCAN_POINTS = {
    "helix_root": 25413, "helix_anterior": 6805, "helix_anterosuperior": 24921, "helix_superior": 24966,
    "darwin_point": 40765, "helix_posterior": 40693, "helix_posteroinferior": 25001, "helix_tail": 24942,
    "lobe_posterior": 6734, "lobe_bottom": 7123, "lobe_attachment": 25673, "intertragic_notch": 24845,
    "tragus": 40239, "antitragus": 40431, "antihelix_mid": 40348, "antihelix_bifurcation": 25350,
    "concha_centre": 7311, "superior_crus_end": 40769, "inferior_crus_end": 40424,
    "lobe_centre": 24855, "scapha_upper": 25355,
}  # fmt: skip
"""The same points on the scans' left ear after one Catmull-Clark step, picked by hand."""


@dataclass(frozen=True)
class ScanModes:
    """Displacements of the template's shapeable vertices; the right ear's are mirrored by the caller."""

    rows: Ints
    """(m,) vertices of the template, both ears."""
    base: Floats
    """(m, 3) float32, dm: from the MPFB2 ear to the mean scanned ear."""
    modes: Floats
    """(MODES, m, 3) float32, dm: one standard deviation of each component."""


def load_modes(folder: Path, template: Template, cache: Path) -> ScanModes:
    """Read ICT-FaceKit's folder and carry it over, or take what an earlier call cached of it."""
    models = folder / "FaceXModel"
    if not (models / f"identity{IDENTITIES - 1:03d}.obj").is_file():
        raise AssetsMissing(f"--ict {folder}: there is no FaceXModel/identity099.obj in it; {HOW_TO_GET}")
    stored = cache / "ict-ears-1.npz"
    if not stored.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = stored.with_suffix(f".{os.getpid()}.npz")
        np.savez(unfinished, allow_pickle=False, **_carried_over(models, template))
        if (folder / "LICENSE").is_file():
            shutil.copy(folder / "LICENSE", cache / "ict-ears-LICENSE.txt")
        unfinished.replace(stored)
    held = np.load(stored)
    return _both_ears(template, held["points"], held["base"], held["modes"])


def _both_ears(template: Template, points: Floats, base: Floats, modes: Floats) -> ScanModes:
    """Values of the left ear's vertices, found again by their rest coordinates on either ear of any template."""
    rows = np.where(template.shapeable > 1e-3)[0]
    apart, at = nearest(cKDTree(points), template.mirrored[rows])
    rows, at = rows[apart < 2e-3], at[apart < 2e-3]
    return ScanModes(rows, base[at], modes[:, at])


def _carried_over(models: Path, template: Template) -> dict[str, Floats]:
    neutral = _vertices(models / "generic_neutral_mesh.obj")
    quads = _quads(models / "generic_neutral_mesh.obj")
    matrix, quads = refine(quads, len(neutral))
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    scan = matrix @ neutral
    ours = template.points
    names = list(SCAN_POINTS)
    to_us = similarity(scan[[SCAN_POINTS[n] for n in names]], template.rest[[ours[n] for n in names]].astype(float))
    placed = to_us.moved(scan)
    near = np.linalg.norm(placed, axis=1) < 0.55
    normals = vertex_normals(placed, triangles)
    rows = np.where((template.shapeable > 1e-3) & template.left)[0]
    fitted = register(
        template.rest[rows].astype(float), template.triangles, rows, placed[near], normals[near],
        np.array([(ours[n], SCAN_POINTS[n]) for n in names]), placed,
    )  # fmt: skip
    displaced = np.stack(
        [to_us.turned(matrix @ (_vertices(models / f"identity{k:03d}.obj") - neutral))[near] for k in range(IDENTITIES)]
    )
    ear = np.linalg.norm(placed[near], axis=1) < 0.34
    still = np.stack([_without_motion(placed[near], mode, ear) for mode in displaced])
    carried = np.stack([fitted.carry(mode) for mode in still])
    return {
        "points": template.mirrored[rows],
        "base": fitted.base.astype(np.float32),
        "modes": _principal(carried).astype(np.float32),
    }


def _vertices(obj: Path) -> Floats:
    """The head's vertices (HEAD_VERTICES, 3), centimetres."""
    rows: list[list[str]] = []
    with obj.open() as lines:
        for line in lines:
            if line.startswith("v "):
                rows.append(line.split()[1:4])
                if len(rows) == HEAD_VERTICES:
                    break
    return np.array(rows, float)


def _quads(obj: Path) -> Ints:
    faces = [line.split()[1:] for line in obj.read_text().splitlines() if line.startswith("f ")]
    quads = [[int(corner.split("/")[0]) - 1 for corner in face] for face in faces if len(face) == 4]
    return np.array([quad for quad in quads if max(quad) < HEAD_VERTICES], np.int32)


def _without_motion(points: Floats, mode: Floats, ear: Ints) -> Floats:
    """A mode less the shift, turn and growth of the whole ear in it: those are the head's, not the ear's shape."""
    x, y, z = points.T
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    motions = [
        np.stack(motion, 1)
        for motion in (
            (ones, zeros, zeros),
            (zeros, ones, zeros),
            (zeros, zeros, ones),
            (zeros, -z, y),
            (z, zeros, -x),
            (-y, x, zeros),
            (x, y, z),
        )  # fmt: skip
    ]
    basis = np.stack([motion[ear].ravel() for motion in motions], 1)
    amounts = np.linalg.lstsq(basis, mode[ear].ravel(), rcond=None)[0]
    rest: Floats = mode - sum(amount * motion for amount, motion in zip(amounts, motions, strict=True))
    return rest


def _principal(modes: Floats) -> Floats:
    """(k, m, 3) independent directions of one standard deviation each -> the MODES strongest components."""
    flat = modes.reshape(len(modes), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    strongest = vectors[:, np.argsort(-values)[:MODES]]
    return (strongest.T @ flat).reshape(MODES, *modes.shape[1:])
