"""Close-ups of one ear each: pose, framing and everything else that changes from picture to picture."""

from __future__ import annotations

import math

import numpy as np

from synth.camera.background import draw_background
from synth.camera.photograph import draw_settings, take
from synth.camera.pose import Camera, make_camera
from synth.config import SynthConfig
from synth.people.appearance import draw_appearance
from synth.people.person import SIDES
from synth.people.shape import Sculptor
from synth.pictures.observed import near_ear
from synth.pictures.picture import Ear, Picture
from synth.pictures.staging import Subject, draw_scene, draw_subject
from synth.render.accessories import PLASTIC
from synth.render.bust import Bust, make_bust
from synth.render.lighting import draw_light
from synth.render.shading import Rendered, Scene, render

SUPERSAMPLING = 2
NARROW = 0.45
"""Six pictures in ten keep pitch and roll within this share of their limits, one in three yaw."""
CUT = 0.12
"""Share of pictures that cut up to a fifth of the ear off at an edge."""


def crops_of(sculptor: Sculptor, config: SynthConfig, number: int) -> list[Picture]:
    """All close-ups of one person."""
    subject = draw_subject(sculptor, config.seed, number)
    sides = _sides(config, number)
    busts = {side: make_bust(sculptor, subject.shape, side) for side in sorted(set(sides))}
    return [_crop(busts[side], subject, config, index) for index, side in enumerate(sides)]


def _sides(config: SynthConfig, number: int) -> list[str]:
    """Half of the people show one ear only, the others both in turn."""
    r = np.random.default_rng([config.seed, number, 5])
    first = SIDES[r.integers(2)]
    if r.random() < 0.5:
        return [first] * config.per_subject
    second = SIDES[1 - SIDES.index(first)]
    return [str(s) for s in r.permutation([(first, second)[k % 2] for k in range(config.per_subject)])]


def _crop(bust: Bust, subject: Subject, config: SynthConfig, index: int) -> Picture:
    r = np.random.default_rng([config.seed, subject.number, config.per_subject, 1000 + index])
    look = subject.look if config.appearance == "fixed" else draw_appearance(r, subject.shape)
    angles = draw_angles(r, (config.yaw, config.pitch, config.roll))
    ear_px = config.size * r.uniform(0.48, 0.85)
    camera = framed(bust, angles, r, config.size, ear_px)
    scene = draw_scene(bust, look, camera, draw_light(r), r)
    rendered = render(scene, config.size * SUPERSAMPLING, config.size * SUPERSAMPLING)
    jpeg, ear, facts = develop(scene, rendered, r, ear_px)
    facts |= dict(zip(("yaw", "pitch", "roll"), angles, strict=True)) | {"appearance": config.appearance}
    return Picture(subject.name, f"{subject.name}_{index:02d}", jpeg, (ear,), facts)


def draw_angles(r: np.random.Generator, limits: tuple[float, float, float]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees. Yaw fills its range: a head that is turned away is what is hardest to align."""
    reach = NARROW if r.random() < 0.6 else 1.0
    turned = NARROW if r.random() < 0.35 else 1.0
    yaw, pitch, roll = (
        float(r.uniform(-1, 1) * k * limit) for k, limit in zip((turned, reach, reach), limits, strict=True)
    )
    return yaw, pitch, roll


def framed(bust: Bust, angles: tuple[float, float, float], r: np.random.Generator, size: int, ear_px: float) -> Camera:
    """A camera whose picture, `size` pixels wide, holds the ear near its middle, or cuts it at an edge."""
    side = size * SUPERSAMPLING
    distance = math.exp(r.uniform(math.log(5), math.log(20)))
    camera = make_camera(*angles, distance, ear_px / bust.height * SUPERSAMPLING, np.array([side / 2, side / 2]))
    ear = camera.project(bust.points[bust.template.box_points])[:, :2]
    low, high = ear.min(0), ear.max(0)
    room = np.maximum(side / 2 - (high - low) / 2 - 4, 0)
    shift = np.clip(np.clip(r.normal(0, 0.04, 2), -0.1, 0.1) * side, -room, room)
    if r.random() < CUT:
        axis = r.integers(2)
        outside = (side - (high - low)[axis]) / 2 + r.uniform(0.02, 0.22) * (high - low)[axis]
        shift[axis] = r.choice([-1, 1]) * outside
    return make_camera(*angles, distance, camera.scale, camera.centre + side / 2 - (low + high) / 2 + shift)


def develop(
    scene: Scene, rendered: Rendered, r: np.random.Generator, ear_px: float
) -> tuple[bytes, Ear, dict[str, str | float | int]]:
    """Photograph what was rendered: the JPEG, the ear in its pixels, and what metadata.csv says of it."""
    s = SUPERSAMPLING
    height, width = rendered.solid.shape
    background = draw_background(r, height // s, width // s, scene.light.tint).repeat(s, 0).repeat(s, 1)
    behind = background * 4 * float(rendered.rgb[rendered.solid].mean()) if rendered.solid.any() else background
    gap = (1 - rendered.solid) * (1 - rendered.cover)
    image = rendered.rgb + behind * gap[..., None]
    ear = near_ear(scene.bust, scene.camera, rendered, s)
    bare = rendered.solid & (rendered.cover < 0.3)
    if scene.bust.side == "right":
        image, bare = image[:, ::-1], bare[:, ::-1]
    settings = draw_settings(r, ear_px)
    x1, y1, x2, y2 = (int(v * s) for v in ear.box)
    where = (slice(y1, max(y2, y1 + 2)), slice(x1, max(x2, x1 + 2)))
    illuminant = scene.light.surroundings(scene.bust.directions).mean(0) + 0.25 * scene.light.key
    jpeg = take(image, s, where, bare, illuminant, scene.look.melanin, ear_px, settings, r)
    light = scene.light
    facts: dict[str, str | float | int] = {
        "light": light.kind, "light_az": light.azimuth, "light_el": light.elevation, "jpeg": settings.jpeg,
        "blur": settings.defocus, "motion": settings.motion,
        "glasses": int(any(part.material == PLASTIC for part in scene.parts)),
        "jewellery": scene.look.ring or scene.look.piercing if scene.parts else "", "style": scene.look.style,
        "taken_px": settings.small,
    }  # fmt: skip
    return jpeg, ear, facts
