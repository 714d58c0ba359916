"""Catmull-Clark subdivision as a sparse matrix, so that one matrix refines every person's head."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from synth.arrays import Bools, Floats, Ints


def refine(quads: Ints, vertices: int) -> tuple[sparse.csr_matrix, Ints]:
    """One step: a matrix (new, `vertices`) that makes the new vertices, and the new quads (4 m, 4).

    New vertices come in the order old vertices, edges, faces.
    """
    faces = len(quads)
    edges, edge_of, uses = _edges(quads)
    face_points = _mean_of(np.repeat(np.arange(faces), 4), quads.ravel(), (faces, vertices), 4)
    edge_middles = _mean_of(np.repeat(np.arange(len(edges)), 2), edges.ravel(), (len(edges), vertices), 2)
    beside = sparse.csr_matrix(
        (np.ones(faces * 4), (edge_of.ravel(), np.repeat(np.arange(faces), 4))), (len(edges), faces)
    )
    border = uses == 1
    edge_points = (
        sparse.diags(np.where(border, 1.0, 0.5)) @ edge_middles
        + sparse.diags(np.where(border, 0.0, 0.25)) @ beside @ face_points
    )
    moved = _moved_vertices(quads, vertices, edges, border, face_points, edge_middles)
    f = np.arange(faces)
    new = [
        np.stack([quads[:, k], vertices + edge_of[:, k], vertices + len(edges) + f, vertices + edge_of[:, k - 1]], 1)
        for k in range(4)
    ]
    return sparse.vstack([moved, edge_points, face_points]).tocsr(), np.concatenate(new)


def _edges(quads: Ints) -> tuple[Ints, Ints, Ints]:
    """Edges (e, 2), the edge that follows each corner (m, 4), and how many faces use each edge."""
    pairs = np.stack([quads, np.roll(quads, -1, 1)], 2).reshape(-1, 2)
    edges, inverse, uses = np.unique(np.sort(pairs, 1), axis=0, return_inverse=True, return_counts=True)
    return edges, inverse.reshape(len(quads), 4), uses


def _mean_of(rows: Ints, columns: Ints, shape: tuple[int, int], count: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.full(len(rows), 1 / count), (rows, columns)), shape)


def _moved_vertices(
    quads: Ints, vertices: int, edges: Ints, border: Bools, face_points: sparse.csr_matrix, middles: sparse.csr_matrix
) -> sparse.csr_matrix:
    """The rule for old vertices: (F + 2 E + (n - 3) V) / n inside, a quarter of the border's neighbours on a border."""
    corners = np.repeat(np.arange(len(quads)), 4)
    of_face = sparse.csr_matrix((np.ones(quads.size), (quads.ravel(), corners)), (vertices, len(quads)))
    ends = np.repeat(np.arange(len(edges)), 2)
    of_edge = sparse.csr_matrix((np.ones(edges.size), (edges.ravel(), ends)), (vertices, len(edges)))
    n = np.maximum(_row_sums(of_face), 1)
    e = np.maximum(_row_sums(of_edge), 1)
    on_border = np.zeros(vertices, bool)
    on_border[edges[border].ravel()] = True
    inner = ~on_border
    rim = np.where(border)[0]
    of_rim = sparse.csr_matrix((np.ones(2 * len(rim)), (edges[rim].ravel(), np.repeat(rim, 2))), (vertices, len(edges)))
    return sparse.csr_matrix(
        sparse.diags(np.where(inner, 1 / n**2, 0)) @ of_face @ face_points
        + sparse.diags(np.where(inner, 2 / (n * e), 0)) @ of_edge @ middles
        + sparse.diags(np.where(inner, (n - 3) / n, 0.5))
        + sparse.diags(np.where(on_border, 0.25, 0)) @ of_rim @ middles
    )


def _row_sums(matrix: sparse.csr_matrix) -> Floats:
    sums: Floats = np.asarray(matrix.sum(1), float).ravel()
    return sums
