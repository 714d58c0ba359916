"""Lays one ear's surface onto another's: a similarity, landmarks, then closest points with a smooth displacement.

Knows surfaces and point pairs, nothing of the data sets they come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.interpolate import RBFInterpolator
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import cKDTree

from synth.arrays import Floats, Ints, nearest
from synth.surface import vertex_normals

NORMAL_DM = 0.06
"""A normal turned by one radian counts as a distance of this much."""
STIFFNESS = (300.0, 100.0, 100.0, 30.0, 30.0, 10.0, 10.0, 6.0)
"""Weight of smoothness against fit, one value a round."""
OUTLIER_DM = 0.09
SMOOTHING = 1.5
"""Weight of smoothness against the carried values."""


@dataclass(frozen=True)
class Similarity:
    """x -> scale * x @ turn.T + shift."""

    scale: float
    turn: Floats
    shift: Floats

    def moved(self, points: Floats) -> Floats:
        """Points (n, 3)."""
        return self.turned(points) + self.shift

    def turned(self, vectors: Floats) -> Floats:
        """Displacements (n, 3)."""
        turned: Floats = self.scale * vectors @ self.turn.T
        return turned


def similarity(source: Floats, target: Floats) -> Similarity:
    """The least-squares similarity of paired points (n, 3) (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    turn = (u * flip) @ vt
    scale = float((s * flip).sum() / (a**2).sum())
    return Similarity(scale, turn, target.mean(0) - scale * source.mean(0) @ turn.T)


@dataclass(frozen=True)
class Registered:
    """A surface laid onto a target; values of the target's points can be carried to it."""

    base: Floats
    """(m, 3): from each point to its place on the target."""
    neighbours: Ints
    """(m, k) points of the target."""
    weights: Floats
    """(m, k), each row sums to 1."""
    smoother: SuperLU
    """Of the m points: carried values are smoothed, for a coarse target's folds would crease a fine surface."""

    def carry(self, values: Floats) -> Floats:
        """Values (points of the target, d) -> (m, d)."""
        carried: Floats = self.smoother.solve(np.einsum("mk,mkd->md", self.weights, values[self.neighbours]))
        return carried


def register(
    points: Floats, triangles: Ints, rows: Ints, target: Floats, target_normals: Floats, pairs: Ints, placed: Floats
) -> Registered:
    """Lay `points` (m, 3), which are the vertices `rows` of `triangles`, onto the target's points and normals.

    `pairs` (l, 2) names landmarks: a vertex of `triangles`, a row of `placed`.
    """
    local = np.full(triangles.max() + 1, -1)
    local[rows] = np.arange(len(rows))
    faces = local[triangles]
    faces = faces[(faces >= 0).all(1)].astype(np.int32)
    ours = local[pairs[:, 0]]
    warp = RBFInterpolator(points[ours], placed[pairs[:, 1]] - points[ours], smoothing=1e-4)
    moved = points + warp(points)
    laplacian = _laplacian(faces, len(points))
    tree = cKDTree(np.hstack([target, NORMAL_DM * target_normals]))
    for stiffness in STIFFNESS:
        at = nearest(tree, np.hstack([moved, NORMAL_DM * vertex_normals(moved, faces)]))[1]
        step = target[at] - moved
        trusted = (np.linalg.norm(step, axis=1) < OUTLIER_DM).astype(float)
        system = splu((sparse.diags(trusted + 1e-3) + stiffness * laplacian).tocsc())
        moved = moved + system.solve(trusted[:, None] * step)
    apart, near = nearest(tree, np.hstack([moved, NORMAL_DM * vertex_normals(moved, faces)]), 6)
    weights = np.exp(-0.5 * (apart / 0.012) ** 2 + 0.5 * (apart[:, :1] / 0.012) ** 2)
    smoother = splu((sparse.identity(len(points)) + SMOOTHING * laplacian).tocsc())
    return Registered(smoother.solve(moved - points), near, weights / weights.sum(1, keepdims=True), smoother)


def _laplacian(triangles: Ints, vertices: int) -> sparse.csr_matrix:
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    joined = sparse.csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (vertices, vertices))
    joined = joined + joined.T
    joined.data[:] = 1.0
    return sparse.csr_matrix(sparse.diags(np.asarray(joined.sum(1)).ravel()) - joined)
