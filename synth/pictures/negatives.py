"""Pictures without ears that a detector takes for ears: faces, folds, whorls, hands, text, the moon.

Faces are rendered heads framed so that no ear is inside the picture; the rest is drawn.
"""

from __future__ import annotations

import numpy as np

from synth.arrays import Floats
from synth.camera.background import draw_background
from synth.camera.photograph import draw_settings, take
from synth.camera.pose import make_camera
from synth.config import SynthConfig
from synth.people.shape import Sculptor
from synth.pictures.doodles import DOODLES, Draw
from synth.pictures.picture import Picture
from synth.pictures.scenes import FULL_RADIUS_DM, SCENE_SEED, scene_size
from synth.pictures.staging import draw_scene, draw_subject
from synth.render.bust import Bust, make_bust
from synth.render.lighting import draw_light
from synth.render.shading import render

FACES = 0.4
"""Share of negatives that are rendered faces and necks."""
FACE_TARGETS = {"face": (0.05, 0.95), "eyes": (0.28, 0.9), "mouth": (-0.42, 0.95), "neck": (-0.9, 0.5)}
"""What a face's picture is centred on: height and depth in rest coordinates, dm, in the middle of the head."""
MARGIN_PX = 6
TRIES = 14


def negative_of(sculptor: Sculptor, config: SynthConfig, number: int) -> list[Picture]:
    """The negative of that number, as a list of one picture."""
    r = np.random.default_rng([config.seed, number, 3000])
    height, width = scene_size(config)
    kinds: list[tuple[str, float]] = [("face", FACES)]
    kinds += [(name, (1 - FACES) / len(DOODLES)) for name in DOODLES]
    kind = str(r.choice([name for name, _ in kinds], p=[share for _, share in kinds]))
    if kind == "face":
        jpeg = _face(sculptor, config, number, height, width, r)
    else:
        jpeg = _doodle(DOODLES[kind], height, width, r)
    name = f"s{config.seed}_{number:04d}"
    return [Picture(name, f"{name}_00", jpeg, (), {"light": kind})]


def _doodle(draw: Draw, height: int, width: int, r: np.random.Generator) -> bytes:
    """A drawn picture through the same camera as the rendered ones."""
    image = draw(r, height, width)
    settings = draw_settings(r, height / 2)
    everywhere = (slice(0, height), slice(0, width))
    whole = np.ones((height, width), bool)
    return take(image, 1, everywhere, whole, np.ones(3), 0.0, height / 2, settings, r)


def _face(
    sculptor: Sculptor, config: SynthConfig, number: int, height: int, width: int, r: np.random.Generator
) -> bytes:
    """A rendered face, eye, mouth or neck, framed between the ears."""
    subject = draw_subject(sculptor, config.seed + SCENE_SEED, number)
    bust = make_bust(sculptor, subject.shape, "left", FULL_RADIUS_DM)
    y, z = FACE_TARGETS[str(r.choice(list(FACE_TARGETS)))]
    target = np.array([-0.6996, y, z])
    for attempt in range(TRIES):
        scale = height / (2.6 * r.uniform(0.6, 1.0)) * 1.13**attempt
        angles = float(90 + r.uniform(-35, 35)), float(r.uniform(-20, 20)), float(r.uniform(-1, 1) * config.roll)
        camera = make_camera(*angles, float(r.uniform(8, 30)), scale, np.zeros(2))
        centre = np.array([width, height]) / 2 - camera.project(target)[:2]
        camera = make_camera(*angles, camera.distance, scale, centre)
        if not any(_inside(camera.project(points)[:, :2], height, width) for points in _ears(bust)):
            break
    else:
        return _doodle(DOODLES["blobs"], height, width, r)
    light = draw_light(r)
    scene = draw_scene(bust, subject.look, camera, light, r, whole_head=True)
    seen = render(scene, height, width)
    behind = draw_background(r, height, width, light.tint) * 4 * max(float(seen.rgb.mean()), 1e-3)
    image = seen.rgb + behind * ((1 - seen.solid) * (1 - seen.cover))[..., None]
    illuminant = light.surroundings(bust.directions).mean(0) + 0.25 * light.key
    everywhere = (slice(0, height), slice(0, width))
    settings = draw_settings(r, scale * bust.height)
    return take(image, 1, everywhere, seen.solid, illuminant, subject.look.melanin, scale * bust.height, settings, r)


def _ears(bust: Bust) -> tuple[Floats, Floats]:
    """Vertices of the two ears."""
    near = bust.template.box_points
    far = bust.template.opposite[near]
    return bust.points[near], bust.points[far[far >= 0]]


def _inside(points: Floats, height: int, width: int) -> bool:
    """Whether any of the points (n, 2) lies in the picture."""
    x, y = points.T
    m = MARGIN_PX
    return bool(((x > -m) & (x < width + m) & (y > -m) & (y < height + m)).any())
