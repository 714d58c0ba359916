"""A person's numbers -> vertices of their head, and the vertices that are their landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synth.arrays import Bools, Floats, Ints, nearest
from synth.head.anatomy import LANDMARKS
from synth.head.assets import AGES, ANCESTRIES, SEXES
from synth.head.relief import RIDGE_POINTS, Relief, groove_depth, ridge_heights
from synth.head.scans import ScanModes
from synth.head.template import Template
from synth.people.person import EAR_TARGETS, EarShape, Shape, draw_shape

ATTEMPTS = 20
OTHER = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Sculptor:
    """What turns numbers into vertices. `scans` is None where ICT-FaceKit is not at hand."""

    template: Template
    relief: Relief
    scans: ScanModes | None

    def draw(self, seed: int, subject: int) -> Shape:
        """The first plausible shape of a person."""
        modes = len(self.scans.modes) if self.scans else 0
        for attempt in range(ATTEMPTS):
            shape = draw_shape(seed, subject, attempt, len(self.relief.fields), modes)
            if plausible(self.template, self.vertices(shape, "left")):
                break
        return shape

    def vertices(self, shape: Shape, side: str) -> Floats:
        """(n, 3) dm. The mesh's LEFT ear carries the person's `side` ear; a right ear's picture is mirrored later."""
        base = self._head(shape, side)
        points: Floats = (self.template.refined @ base.astype(np.float32)).astype(float)
        for on_left, ear in ((True, shape.ears[side]), (False, shape.ears[OTHER[side]])):
            rows = self.relief.rows
            on = self.template.left[rows] == on_left
            moved = self._relief(shape, ear, on)
            if not on_left:
                moved[:, 0] *= -1
            points[rows[on]] += moved
        return points

    def landmarks(self, ear: EarShape) -> Ints:
        """(17,) vertices: the template's, but for the antihelix, whose points move with its ridges."""
        chosen = self.template.landmarks.copy()
        if ear.flattening < 0.35:
            return chosen
        on = self.template.left[self.relief.rows] & (self.relief.front > 0.3)
        rows = self.relief.rows[on]
        tree = cKDTree(self.template.mirrored[rows][:, [2, 1]])
        for name in ("antihelix_mid", "antihelix_bifurcation"):
            k = RIDGE_POINTS.index(name)
            place = self.relief.ridge_points[k] + ear.ridge_shift[k]
            chosen[list(LANDMARKS).index(name)] = rows[nearest(tree, place)[1]]
        return chosen

    def _head(self, shape: Shape, side: str) -> Floats:
        """The unrefined head (base vertices, 3) with all its morph targets."""
        weights = _body(shape) | shape.head | _face(shape.face, list(self.template.assets.names))
        for mesh, ear in (("l", shape.ears[side]), ("r", shape.ears[OTHER[side]])):
            for name, amount in ear.targets.items():
                less, more, _ = EAR_TARGETS[name]
                weights[f"{mesh}-ear-{more if amount > 0 else less}"] = abs(amount)
            weights |= {f"{mesh}-ear-{name}": amount for name, amount in ear.shapes.items()}
            weights |= {f"asym-ear-{i + 1}-{mesh}": float(amount) for i, amount in enumerate(ear.asymmetry)}
        used = {name: weight for name, weight in weights.items() if abs(weight) > 1e-4}
        rows = [self.template.assets.names[name] for name in used]
        targets = self.template.assets.targets[rows]
        head: Floats = self.template.assets.vertices + np.tensordot(
            np.array(list(used.values()), np.float32), targets, 1
        )
        return head

    def _relief(self, shape: Shape, ear: EarShape, on: Bools) -> Floats:
        """Displacement (m', 3) of the relief's vertices that `on` picks, as on a left ear."""
        relief = self.relief
        rest = self.template.mirrored[relief.rows[on]]
        amounts = np.array([f.mean + f.deviation * a for f, a in zip(relief.fields, ear.fields, strict=True)])
        moved = relief.weights[on] @ (amounts[:, None] * relief.directions)
        fade = self.template.shapeable[relief.rows[on]][:, None]
        for vectors, phases, sizes in zip(shape.wave_vectors, shape.wave_phases, shape.wave_sizes, strict=True):
            moved = moved + np.cos(rest @ vectors.T + phases) @ sizes * fade
        moved[:, 0] += relief.through[on][:, on] @ self._antihelix(ear, on, rest[:, [2, 1]])
        return moved + self._scanned(ear, on) * fade

    def _antihelix(self, ear: EarShape, on: Bools, at: Floats) -> Floats:
        """Lateral displacement (m',): the sculpted antihelix made flatter, a new one, and the scapha beside it."""
        relief = self.relief
        ridges = relief.ridge_points + ear.ridge_shift
        new = ridge_heights(ridges, ear.ridge_widths, ear.ridge_heights, at)
        new += groove_depth(relief.groove, ear.groove_width, ear.groove_depth, at)
        return ear.flattening * relief.flat[on] + (0.5 + 0.5 * ear.flattening) * new * relief.front[on]

    def _scanned(self, ear: EarShape, on: Bools) -> Floats:
        """The scans' part of it (m', 3)."""
        moved = np.zeros((len(self.relief.rows), 3))
        if self.scans is not None:
            local = np.searchsorted(self.relief.rows, self.scans.rows)
            moved[local] = ear.scan_share * self.scans.base + np.tensordot(ear.modes, self.scans.modes, 1)
        return moved[on]


def _body(shape: Shape) -> dict[str, float]:
    """Weights of the targets for ancestry, sex, age and weight; each family sums to 1."""
    sexes = dict(zip(SEXES, (shape.male, 1 - shape.male), strict=True))
    ages = dict(zip(AGES, (1 - shape.old, shape.old), strict=True))
    builds = {"min": max(-shape.weight, 0.0), "average": 1 - abs(shape.weight), "max": max(shape.weight, 0.0)}
    weights = {
        f"{ancestry}-{sex}-{age}": float(a) * s * o
        for ancestry, a in zip(ANCESTRIES, shape.ancestry, strict=True)
        for sex, s in sexes.items()
        for age, o in ages.items()
    }
    return weights | {
        f"universal-{sex}-{age}-{build}": s * o * b
        for sex, s in sexes.items()
        for age, o in ages.items()
        for build, b in builds.items()
    }


def _face(seed: int, names: list[str]) -> dict[str, float]:
    """Weights of a few of the targets for nose, chin, mouth, forehead and cheeks."""
    r = np.random.default_rng(seed)
    parts = ("nose", "chin", "mouth", "forehead")
    faces = [name for name in names if name.split("-")[0] in parts or name.split("-")[1:2] == ["cheek"]]
    draws = np.abs(r.normal(size=len(faces)))
    return {name: min(draw - 0.8, 1.0) * 0.35 for name, draw in zip(faces, draws, strict=True) if draw > 0.8}


def plausible(template: Template, points: Floats) -> bool:
    """False for the rare ear that would not look human. points: (n, 3) as `Sculptor.vertices` gives them."""
    at = {name: points[template.points[name]] for name in LANDMARKS}
    height, width = np.ptp(points[template.box_points, 1]), np.ptp(points[template.box_points, 2])
    lobe = (at["intertragic_notch"] - at["lobe_bottom"])[1] / height
    upper = (at["helix_superior"] - at["helix_root"])[1] / height
    rim = at["helix_posterior"][0] - at["concha_centre"][0]
    return bool(0.45 < height < 0.85 and 1.25 < height / width < 2.3 and lobe > 0.11 and upper > 0.16 and rim > -0.02)
