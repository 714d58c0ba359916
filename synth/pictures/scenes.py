"""Whole heads in a room: one to six of them, near and far, upright, rolled and upside down.

Every ear that shows at least five landmarks is listed. Heads are rendered one by one and laid over each other, the
nearest last, so they cast no shadows on one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from synth.arrays import Bools, Floats
from synth.camera.background import draw_background
from synth.camera.photograph import draw_settings, take
from synth.camera.pose import Camera, make_camera
from synth.config import SynthConfig
from synth.people.person import SIDES
from synth.people.shape import Sculptor
from synth.pictures.observed import far_ear, near_ear
from synth.pictures.picture import Ear, Picture
from synth.pictures.staging import draw_scene, draw_subject
from synth.render.bust import Bust, make_bust
from synth.render.lighting import Light, draw_light
from synth.render.shading import Rendered, Scene, render
from synth.surface import FAR

HEADS = (0.38, 0.22, 0.16, 0.10, 0.08, 0.06)
"""Shares of scenes with one to six heads."""
EAR_PX = (20.0, 600.0)
TURNED = 0.22
"""Share of heads whose roll may be anything; the others keep within --roll."""
MANY_HEADS = 100
"""Subjects of scene n are n * 100, n * 100 + 1, ... of a seed of their own, so none is a subject of the close-ups."""
SCENE_SEED = 500_000
LISTED = 5
"""Landmarks that an ear must show to be listed."""
FULL_RADIUS_DM = 2.2
HAIR_REACH_DM = 0.5
"""How far hair may stand off a head."""


@dataclass(frozen=True)
class Layer:
    """One rendered head, mirrored already where it shows a right ear."""

    scene: Scene
    rgb: Floats
    opaque: Floats
    """(H, W) in [0, 1]."""
    bare: Bools
    ears: tuple[Ear, ...]
    ear_px: float


def scene_of(sculptor: Sculptor, config: SynthConfig, number: int) -> list[Picture]:
    """The scene of that number, as a list of one picture."""
    r = np.random.default_rng([config.seed, number, 2000])
    height, width = scene_size(config)
    s = 2 if height <= 640 else 1
    light = draw_light(r)
    count = 1 + int(r.choice(len(HEADS), p=HEADS))
    sizes = sorted(_ear_sizes(r, count, height))
    layers = []
    for k, ear_px in enumerate(sizes):
        layers.append(_layer(sculptor, config, number * MANY_HEADS + k, light, ear_px, (height, width), s, r))
    rgb = _laid_over(layers, draw_background(r, height, width, light.tint).repeat(s, 0).repeat(s, 1))
    ears = _not_hidden(layers, s)
    jpeg = _photograph(rgb, layers[-1], light, s, r)
    name = f"s{config.seed}_{number:04d}"
    front = layers[-1].scene
    facts: dict[str, str | float | int] = {"light": light.kind, "light_az": light.azimuth, "light_el": light.elevation}
    facts |= {"style": front.look.style, "taken_px": layers[-1].ear_px, "appearance": "fixed"}
    return [Picture(name, f"{name}_00", jpeg, tuple(ears), facts)]


def scene_size(config: SynthConfig) -> tuple[int, int]:
    """Height and width in pixels: 4:3, at least 480 x 640."""
    height = max(config.size, 480)
    return height, height * 4 // 3 // 2 * 2


def _ear_sizes(r: np.random.Generator, count: int, height: int) -> list[float]:
    """Heights of the ears, px; several heads leave each other room."""
    largest = min(EAR_PX[1], height * (0.9 if count == 1 else 0.8 / math.sqrt(count)))
    return [math.exp(r.uniform(math.log(EAR_PX[0]), math.log(largest))) for _ in range(count)]


def _layer(
    sculptor: Sculptor, config: SynthConfig, number: int, light: Light, ear_px: float, size: tuple[int, int], s: int,
    r: np.random.Generator,
) -> Layer:  # fmt: skip
    """One person of a scene."""
    height, width = size
    subject = draw_subject(sculptor, config.seed + SCENE_SEED, number)
    bust = make_bust(sculptor, subject.shape, SIDES[r.integers(2)], FULL_RADIUS_DM)
    camera = _placed(bust, config, ear_px * s / bust.height, (height * s, width * s), r)
    scene = draw_scene(bust, subject.look, camera, light, r, whole_head=True)
    seen = _rendered_part(scene, height * s, width * s)
    ears = (near_ear(bust, camera, seen, s), far_ear(bust, camera, seen, s))
    rgb, bare = seen.rgb, seen.solid & (seen.cover < 0.3)
    opaque = 1 - (1 - seen.solid) * (1 - seen.cover)
    if bust.side == "right":
        rgb, bare, opaque = rgb[:, ::-1], bare[:, ::-1], opaque[:, ::-1]
    return Layer(scene, rgb, opaque, bare, ears, ear_px)


def _rendered_part(scene: Scene, height: int, width: int) -> Rendered:
    """As `render`, but only the part of the frame that the head can reach is worked on."""
    seen = scene.camera.project(scene.bust.points)[:, :2]
    reach = HAIR_REACH_DM * scene.camera.scale
    left, top = np.clip(seen.min(0) - reach, 0, [width - 2, height - 2]).astype(int)
    right, bottom = np.clip(seen.max(0) + reach, [left + 2, top + 2], [width, height]).astype(int)
    camera = replace(scene.camera, centre=scene.camera.centre - [left, top])
    part = render(replace(scene, camera=camera), bottom - top, right - left)
    here = (slice(top, bottom), slice(left, right))
    whole = Rendered(
        np.zeros((height, width, 3), np.float32), np.zeros((height, width), bool),
        np.zeros((height, width), np.float32), np.full((height, width), FAR),
    )  # fmt: skip
    whole.rgb[here], whole.solid[here] = part.rgb, part.solid
    whole.cover[here], whole.depth[here] = part.cover, part.depth
    return whole


def _placed(bust: Bust, config: SynthConfig, scale: float, size: tuple[int, int], r: np.random.Generator) -> Camera:
    """A camera with the ear somewhere in the picture; upright heads stand on its lower edge, where the mesh is cut."""
    height, width = size
    roll = r.uniform(-180, 180) if r.random() < TURNED else r.uniform(-0.6, 0.6) * config.roll
    angles = (float(r.uniform(-1.3, 1.3) * config.yaw), float(r.uniform(-0.7, 0.7) * config.pitch), float(roll))
    x, y = r.uniform(0.12, 0.88) * width, r.uniform(0.15, 0.85) * height
    if abs(roll) < 30:
        y = max(y, height - 2.4 * scale)
        y = min(y, height * 0.92)
    return make_camera(*angles, math.exp(r.uniform(math.log(8), math.log(40))), scale, np.array([x, y]))


def _laid_over(layers: list[Layer], background: Floats) -> Floats:
    rgb = background * 4 * float(np.mean([layer.rgb[layer.bare].mean() for layer in layers if layer.bare.any()] or [1]))
    for layer in layers:
        rgb = rgb * (1 - layer.opaque[..., None]) + layer.rgb
    return rgb


def _not_hidden(layers: list[Layer], s: int) -> list[Ear]:
    """The ears that may be listed, after nearer heads have hidden some of their landmarks."""
    listed = []
    for k, layer in enumerate(layers):
        for ear in layer.ears:
            visible = ear.visible.copy()
            for nearer in layers[k + 1 :]:
                height, width = nearer.opaque.shape
                x = np.clip((ear.landmarks[:, 0] * s).astype(int), 0, width - 1)
                y = np.clip((ear.landmarks[:, 1] * s).astype(int), 0, height - 1)
                visible &= (nearer.opaque[y, x] < 0.5).astype(int)
            if visible.sum() >= LISTED:
                listed.append(replace(ear, visible=visible))
    return listed


def _photograph(rgb: Floats, front: Layer, light: Light, s: int, r: np.random.Generator) -> bytes:
    """The JPEG, metered on the nearest head."""
    settings = draw_settings(r, front.ear_px)
    settings = replace(settings, small=max(settings.small, min(front.ear_px, 60.0)))  # far ears must stay ears
    rows, columns = np.where(front.bare) if front.bare.any() else (np.array([0, 2]), np.array([0, 2]))
    where = (slice(rows.min(), rows.max() + 2), slice(columns.min(), columns.max() + 2))
    illuminant = light.surroundings(front.scene.bust.directions).mean(0) + 0.25 * light.key
    return take(rgb, s, where, front.bare, illuminant, front.scene.look.melanin, front.ear_px, settings, r)
