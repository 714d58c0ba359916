"""What all people share: the refined head's topology, rest coordinates, masks and named points.

Knows no person. A template covers the whole head or, for close-ups, only what surrounds the left ear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.spatial import cKDTree

from synth.arrays import Bools, Floats, Ints, nearest, smoothstep
from synth.head.anatomy import AURICLE, EAR_CENTRE, LANDMARKS, MORE_POINTS, SCALP, inside_distance
from synth.head.assets import ANCESTRIES, SEXES, Assets
from synth.head.subdivision import refine
from synth.surface import vertex_normals

CLOSE_UP_DM = 1.9
"""A close-up keeps what lies this near to the left ear's centre."""


@dataclass(frozen=True)
class Template:
    """`n` refined vertices, `t` triangles. Rest coordinates are those of the average young head."""

    assets: Assets
    refined: sparse.csr_matrix
    """(n, base vertices): refined = matrix @ base."""
    triangles: Ints
    """(t, 3) int32."""
    coarse: Ints
    """(t / 4, 3) int32: the same surface after one step less, on the same vertices; casts soft shadows."""
    eyes: Bools
    """(t,): the triangle belongs to an eyeball."""
    rest: Floats
    """(n, 3) float32 about the left ear's centre."""
    mirrored: Floats
    """(n, 3) as `rest`, right half folded onto the left, so that both ears share coordinates."""
    rest_normals: Floats
    """(n, 3), folded in the same way."""
    left: Bools
    auricle: Floats
    """(n,) in [0, 1]: 1 on the auricles."""
    shapeable: Floats
    """(n,) in [0, 1]: how far shape fields act; wider and softer than `auricle`."""
    scalp: Floats
    """(n,) in [0, 1]: where hair grows."""
    scalp_triangles: Ints
    """(s, 3): those of `triangles` that hair may grow from."""
    box_points: Ints
    """Vertices of the left auricle whose projections span the ear's box."""
    landmarks: Ints
    """(17,) vertices, in the order of anatomy.LANDMARKS."""
    opposite: Ints
    """(n,) the same vertex on the other side of the head, -1 where it was not kept."""
    points: dict[str, int]
    """Name -> vertex, of the landmarks and of anatomy.MORE_POINTS."""


def build_template(assets: Assets, close_up: bool) -> Template:
    """Refine the head twice and find everything on it; `close_up` keeps the left ear's surroundings."""
    once, quads = refine(assets.quads, len(assets.vertices))
    coarse = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    twice, quads = refine(quads, once.shape[0])
    matrix = (twice @ once).tocsr().astype(np.float32)
    base_quads = len(assets.quads)
    eye_quads = np.tile(np.arange(base_quads), 16) >= base_quads - assets.eye_quads
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    eyes = np.concatenate([eye_quads, eye_quads])
    rest = matrix @ average_head(assets)
    normals = vertex_normals(rest, triangles)
    kept = np.ones(len(rest), bool)
    if close_up:
        kept = np.linalg.norm(rest - EAR_CENTRE, axis=1) < CLOSE_UP_DM
    whole = kept[triangles].all(1)
    local = np.cumsum(kept) - 1
    eye_points = np.zeros(len(rest), bool)
    eye_points[triangles[eyes].ravel()] = True
    surfaces: list[Ints] = [np.ascontiguousarray(local[t[kept[t].all(1)]], np.int32) for t in (triangles, coarse)]
    return _described(
        assets, matrix[kept], surfaces, eyes[whole], rest[kept], normals[kept],
        eye_points[kept], {name: int(local[at]) for name, at in (LANDMARKS | MORE_POINTS).items()},
    )  # fmt: skip


def average_head(assets: Assets) -> Floats:
    """The unrefined head (n, 3) of an average young adult."""
    head = assets.vertices.astype(float)
    for sex in SEXES:
        head += assets.targets[assets.names[f"universal-{sex}-young-average"]] / 2
        for ancestry in ANCESTRIES:
            head += assets.targets[assets.names[f"{ancestry}-{sex}-young"]] / 6
    return head


def _described(
    assets: Assets, matrix: sparse.csr_matrix, surfaces: list[Ints], eyes: Bools, rest: Floats,
    normals: Floats, eye_points: Bools, points: dict[str, int],
) -> Template:  # fmt: skip
    """The template with its masks, from the kept part of the head."""
    left = rest[:, 0] > 0
    mirrored, folded = rest - EAR_CENTRE, normals.copy()
    mirrored[:, 0] = np.abs(rest[:, 0]) - EAR_CENTRE[0]
    folded[~left, 0] *= -1
    side_view = mirrored[:, [2, 1]]
    x, z = mirrored[:, 0], mirrored[:, 2]
    depth = inside_distance(side_view, AURICLE)
    scalp = smoothstep(inside_distance(side_view, SCALP), -0.02, 0.05)
    scalp *= 1 - smoothstep(depth, -0.05, -0.01) * smoothstep(x, -0.16, -0.10)
    scalp *= ~eye_points
    on_ear = (depth > -0.006) & (x > np.where(z < -0.11, -0.01, -0.06)) & left
    return Template(
        assets=assets,
        refined=matrix,
        triangles=surfaces[0],
        coarse=surfaces[1],
        eyes=eyes,
        rest=(rest - EAR_CENTRE).astype(np.float32),
        mirrored=mirrored,
        rest_normals=folded,
        left=left,
        auricle=smoothstep(depth, -0.02, 0.02) * smoothstep(x, -0.13, -0.07),
        shapeable=smoothstep(depth, -0.06, 0.03) * smoothstep(x, -0.20, -0.06),
        scalp=scalp,
        scalp_triangles=surfaces[0][scalp[surfaces[0]].min(1) > 0.25],
        box_points=np.where(on_ear)[0],
        opposite=_opposite(mirrored, left),
        landmarks=np.array([points[name] for name in LANDMARKS]),
        points=points,
    )


def _opposite(mirrored: Floats, left: Bools) -> Ints:
    partner = np.full(len(left), -1)
    for here, there in ((left, ~left), (~left, left)):
        rows, others = np.where(here)[0], np.where(there)[0]
        if len(others):
            apart, at = nearest(cKDTree(mirrored[others]), mirrored[rows])
            partner[rows[apart < 1e-3]] = others[at[apart < 1e-3]]
    return partner
