"""Fine relief of the auricle: fields that raise or shift one part each, and the antihelix as movable ridges.

A field is a bump around a point or line of the ear in rest coordinates, times a direction. The antihelix differs most
between people and least between sculpted heads, so it can be flattened and drawn anew as a Y of ridges, whose points
move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.spatial import cKDTree

from synth.arrays import Floats, Ints, nearest, smoothstep, unit
from synth.head.anatomy import polyline_distance
from synth.head.template import Template

X, Y, Z = np.eye(3)
RIM = (
    "helix_anterosuperior", "helix_superior", "darwin_point", "helix_posterior", "helix_posteroinferior", "helix_tail"
)  # fmt: skip
RIDGE_POINTS = ("antitragus", "antihelix_mid", "antihelix_bifurcation", "superior_crus_end", "inferior_crus_end")
"""The Y of the antihelix: stem through the first three, one crus to each of the last two."""
SCAPHA = (
    ("superior_crus_end", "helix_superior", 0.40), ("superior_crus_end", "darwin_point", 0.44),
    ("antihelix_bifurcation", "helix_posterior", 0.52), ("antihelix_mid", "helix_posteroinferior", 0.54),
    ("antitragus", "helix_tail", 0.62),
)  # fmt: skip
"""The scapha's floor lies this share of the way from the first point to the second."""
FLATTENING_ROUNDS = 120


@dataclass(frozen=True)
class Field:
    """One way in which a part of the ear differs between people; amounts are normal draws in decimetres."""

    name: str
    weight: Floats
    """(m,) in [0, 1], for the vertices Relief.rows."""
    direction: Floats
    """(3,)."""
    mean: float
    deviation: float


@dataclass(frozen=True)
class Relief:
    """Everything that shape.py moves on an auricle besides the morph targets and the scans' modes."""

    rows: Ints
    """(m,) vertices of the template, both ears."""
    fields: tuple[Field, ...]
    weights: Floats
    """(m, fields) float32: the fields' weights side by side."""
    directions: Floats
    """(fields, 3)."""
    ridge_points: Floats
    """(5, 2): rest (z, y) of RIDGE_POINTS."""
    groove: Floats
    """(5, 2): rest (z, y) along the floor of the scapha, from the top of the helix down to the lobe."""
    front: Floats
    """(m,) in [0, 1]: the outward surface between concha and helix, where ridges may rise."""
    flat: Floats
    """(m,): lateral displacement that flattens that surface, dm."""
    through: sparse.csr_matrix
    """(m, m): carries the front's displacement through to the back, for cartilage is a thin plate."""


def build_relief(template: Template) -> Relief:
    """Find the fields and ridges on a template."""
    rows = np.where(template.shapeable > 1e-3)[0]
    at = {name: template.rest[vertex].astype(float) for name, vertex in template.points.items()}
    points = np.stack([at[name][[2, 1]] for name in RIDGE_POINTS])
    front = _front(template, rows, points)
    flat = _smoothed(template, rows, template.mirrored[rows, 0]) - template.mirrored[rows, 0]
    fields = _fields(template, rows, at)
    weights = np.stack([field.weight for field in fields], 1).astype(np.float32)
    directions = np.stack([field.direction for field in fields])
    through = _through(template, rows, front)
    groove = np.stack([(1 - share) * at[inner] + share * at[rim] for inner, rim, share in SCAPHA])[:, [2, 1]]
    return Relief(rows, fields, weights, directions, points, groove, front, flat * front, through)


def _front(template: Template, rows: Ints, ridges: Floats) -> Floats:
    """Outward-facing skin within reach of the ridges; the helix's overhang and the concha's floor stay out."""
    side_view = template.mirrored[rows][:, [2, 1]]
    stem, upper, lower = ridges[:3], ridges[[2, 3]], ridges[[2, 4]]
    fan = np.vstack([ridges[2], (ridges[3] + ridges[4]) / 2])
    reach = np.min([polyline_distance(side_view, line) for line in (stem, upper, lower, fan)], axis=0)
    outward = smoothstep(template.rest_normals[rows, 0], 0.0, 0.35)
    return (1 - smoothstep(reach, 0.055, 0.095)) * outward * template.shapeable[rows]


def _through(template: Template, rows: Ints, front: Floats) -> sparse.csr_matrix:
    """Each vertex follows itself where it is in front, and the front vertices beside it where it lies behind them."""
    x = template.mirrored[rows, 0]
    side_view = template.mirrored[rows][:, [2, 1]] + np.where(template.left[rows], 0.0, 10.0)[:, None]  # ears apart
    ahead = np.where(front > 0.02)[0]
    apart, near = nearest(cKDTree(side_view[ahead]), side_view, 8)
    depth = x[ahead[near]].max(1) - x
    weights = np.exp(-0.5 * (apart / 0.012) ** 2)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-9)
    weights *= (1 - smoothstep(apart[:, 0], 0.012, 0.035))[:, None]
    weights *= (smoothstep(depth, 0.004, 0.015) * smoothstep(x, -0.05, 0.0))[:, None]  # the head's skin stays
    weights[ahead] = 0.0
    of = np.repeat(np.arange(len(rows)), 8)
    followers = sparse.csr_matrix((weights.ravel(), (of, ahead[near].ravel())), (len(rows), len(rows)))
    return sparse.csr_matrix(followers + sparse.diags((front > 0.02).astype(float)))


def _smoothed(template: Template, rows: Ints, values: Floats) -> Floats:
    """Values of the rows' vertices averaged over their neighbours, many times."""
    local = np.full(len(template.rest), -1)
    local[rows] = np.arange(len(rows))
    faces = local[template.triangles]
    faces = faces[(faces >= 0).all(1)]
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    joined = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(rows), len(rows)))
    joined = joined + joined.T + sparse.identity(len(rows))
    mean = sparse.diags(1 / np.asarray(joined.sum(1)).ravel()) @ joined
    for _ in range(FLATTENING_ROUNDS):
        values = mean @ values
    return values


def _fields(template: Template, rows: Ints, at: dict[str, Floats]) -> tuple[Field, ...]:
    points = template.mirrored[rows]
    centre = at["concha_centre"]

    def outward(name: str) -> Floats:
        away = (at[name] - centre) * [0, 1, 1]
        return unit(away)

    def field(name: str, on: str, width: float, direction: Floats, mean: float, deviation: float) -> Field:
        distance = polyline_distance(points, np.stack([at[point] for point in on.split()]))
        weight = np.exp(-0.5 * (distance / width) ** 2) * template.shapeable[rows]
        return Field(name, weight, np.asarray(direction, float), mean, deviation)

    rim = " ".join(("helix_anterior", *RIM[:4]))
    whole_rim = " ".join(RIM)
    parts = [
        field("tragus", "tragus", 0.034, 0.6 * X - 0.8 * Z, 0.015, 0.020),
        field("tragus_low", "tragus intertragic_notch", 0.03, 0.8 * X - 0.4 * Z, 0.004, 0.012),
        field("antitragus", "antitragus", 0.032, 0.6 * X + 0.8 * Y, 0.008, 0.016),
        field("antitragus_fore", "antitragus intertragic_notch", 0.03, 0.5 * X + 0.5 * Y + 0.5 * Z, 0.0, 0.012),
        field("notch", "intertragic_notch", 0.028, -Y, 0.004, 0.020),
        field("triangular_fossa", "triangular_fossa", 0.035, -X, 0.008, 0.009),
        field("scapha", "scapha_upper scapha_middle", 0.026, -X, 0.0, 0.006),
        field("concha", "concha_centre canal", 0.055, -X, 0.014, 0.014),
        field("concha_back", "concha_centre canal", 0.07, -Z, 0.0, 0.022),
        Field("helix_crus", _helix_crus(template, rows, at), X, 0.026, 0.008),
        field("helix_width", rim, 0.028, X, 0.0, 0.007),
        field("helix_thickness", whole_rim, 0.022, X, 0.006, 0.006),
        field("darwin_tubercle", "darwin_point", 0.020, 0.3 * X - 0.9 * outward("darwin_point"), 0.0, 0.010),
        field("lobe_length", "lobe_bottom", 0.06, -Y, 0.0, 0.028),
        field("lobe_attachment", "lobe_attachment", 0.065, 0.95 * Y + 0.3 * Z, 0.004, 0.020),
        field("lobe_width", "lobe_posterior", 0.06, -0.9 * Z - 0.3 * Y, 0.0, 0.020),
        field("lobe_out", "lobe_centre", 0.06, X, 0.0, 0.014),
    ]
    for name in RIM:
        parts += [
            field(f"reach_{name}", name, 0.09, outward(name), 0.0, 0.006),
            field(f"out_{name}", name, 0.065, X, 0.0, 0.012),
            field(f"fold_{name}", name, 0.030, 0.5 * X - 0.9 * outward(name), 0.007, 0.009),
        ]
    return tuple(parts)


def _helix_crus(template: Template, rows: Ints, at: dict[str, Floats]) -> Floats:
    """Weight (m,) of the ridge that runs from the helix's root back into the concha and divides it."""
    end = 0.4 * at["helix_root"] + 0.35 * at["concha_centre"] + 0.25 * at["antihelix_mid"]
    line = np.stack([at["helix_root"], end])[:, [2, 1]]
    away = polyline_distance(template.mirrored[rows][:, [2, 1]], line)
    outward = smoothstep(template.rest_normals[rows, 0], 0.0, 0.35)
    weight: Floats = np.exp(-0.5 * (away / 0.020) ** 2) * outward * template.shapeable[rows]
    return weight


def ridge_heights(points: Floats, widths: Floats, heights: Floats, at: Floats) -> Floats:
    """Lateral displacement (m,) of a Y of ridges, dm.

    points: (5, 2) where RIDGE_POINTS lie for this person; widths, heights: (3,) of stem, superior and inferior crus;
    at: (m, 2) rest (z, y) of vertices.
    """
    raised = np.zeros(len(at))
    for line, width, height in zip((points[:3], points[[2, 3]], points[[2, 4]]), widths, heights, strict=True):
        bump = height * np.exp(-0.5 * (polyline_distance(at, line) / width) ** 2)
        raised = np.maximum(raised, bump)
    return raised


def groove_depth(line: Floats, width: float, depth: float, at: Floats) -> Floats:
    """Lateral displacement (m,) of the scapha's groove along a line (k, 2), dm; arguments as in `ridge_heights`."""
    cut: Floats = -depth * np.exp(-0.5 * (polyline_distance(at, line) / width) ** 2)
    return cut
