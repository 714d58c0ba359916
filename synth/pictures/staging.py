"""Who stands before the camera, and how: a person, their light, hair, jewellery and skin in one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.camera.pose import Camera
from synth.people.appearance import Appearance, draw_appearance
from synth.people.person import Shape
from synth.people.shape import Sculptor
from synth.render.accessories import glasses, jewellery
from synth.render.bust import Bust
from synth.render.hair import grow_hair
from synth.render.lighting import Light
from synth.render.shading import Scene
from synth.render.skin import make_paint

OVER_EAR = {"bald": 0.0, "buzz": 0.0, "short": 0.04, "medium": 0.18, "long": 0.25}
"""How often a style falls over the ear."""
GLASSES, WEARS = 0.10, 0.8


@dataclass(frozen=True)
class Subject:
    """A person whose pictures are being made."""

    seed: int
    number: int
    shape: Shape
    look: Appearance

    @property
    def name(self) -> str:
        """As in file names and metadata."""
        return f"s{self.seed}_{self.number:04d}"


def draw_subject(sculptor: Sculptor, seed: int, number: int) -> Subject:
    """The person of that number; a function of (seed, number) alone."""
    shape = sculptor.draw(seed, number)
    return Subject(seed, number, shape, draw_appearance(np.random.default_rng([seed, number, 78]), shape))


def draw_scene(
    bust: Bust, look: Appearance, camera: Camera, light: Light, r: np.random.Generator, whole_head: bool = False
) -> Scene:
    """Everything else that one picture shows of a person."""
    over = float(r.uniform(0.05, 0.55)) if r.random() < OVER_EAR[look.style] else 0.0
    parts = jewellery(bust, look, r) if r.random() < WEARS else []
    if r.random() < GLASSES:
        parts.append(glasses(bust, r))
    paint = make_paint(
        look,
        bust,
        flush=max(0.0, float(r.normal(0, 0.08))),
        relief=float(r.uniform(0.6, 1.4)),
        cloth=np.exp(r.normal(-2.0, 0.9)) * np.exp(r.normal(0, 0.4, 3)),
        collar=float(r.uniform(-1.25, -0.95)),
    )
    hair = grow_hair(bust, look, r, over, whole_head)
    return Scene(bust, look, paint, light, camera, hair, parts, gloss=float(r.uniform(0.5, 1.6)))
