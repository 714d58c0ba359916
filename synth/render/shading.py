"""A bust, its light and its camera -> a picture in linear light.

Joins mesh, shadows, skin (skin.py, reflection.py) and hair (strands.py). Nothing here knows sensors or files:
camera/photograph.py makes a photograph of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from synth.arrays import Bools, Floats, Ints, unit
from synth.camera.pose import Camera
from synth.people.appearance import Appearance
from synth.render.accessories import EYE, METAL, SKIN, Part
from synth.render.bust import Bust
from synth.render.hair import Hair
from synth.render.lighting import Light, light_frame
from synth.render.reflection import ambient_shine, mirrored, reflect, scattered, translucency
from synth.render.skin import Paint, eye_colours, paint, placed_moles
from synth.render.strands import cut, draw_hair, shade_segments
from synth.surface import carry, depth_map, rasterise, shadow, vertex_normals

SHADOW_SIDE = 560
TAPS = 12


@dataclass(frozen=True)
class Scene:
    """Everything that one picture shows. gloss: gain of the skin's and hair's shine."""

    bust: Bust
    look: Appearance
    paint: Paint
    light: Light
    camera: Camera
    hair: Hair | None
    parts: list[Part]
    gloss: float


@dataclass(frozen=True)
class Rendered:
    """rgb: (H, W, 3) float32 linear; solid, cover: (H, W) what head and hair hide; depth: (H, W) dm."""

    rgb: Floats
    solid: Bools
    cover: Floats
    depth: Floats


class Mesh(NamedTuple):
    """The bust and its accessories as one mesh of n points and t triangles."""

    points: Floats
    triangles: Ints
    materials: Ints
    """(t,)."""
    colours: Floats
    """(t, 3), of what is not skin."""
    values: Floats
    """(n, 15) float32: normal, rest, irradiance, openness, auricle, scalp, place."""


class Surface(NamedTuple):
    """p pixels of skin, metal, plastic and eyes."""

    normal: Floats
    rest: Floats
    ambient: Floats
    open: Floats
    auricle: Floats
    scalp: Floats
    place: Floats


def render(scene: Scene, height: int, width: int) -> Rendered:
    """Render `height` x `width` pixels."""
    mesh = _mesh(scene)
    seen = scene.camera.project(mesh.points)
    shown, depth, weights = rasterise(seen, mesh.triangles, height, width)
    solid = shown >= 0
    triangle = shown[solid]
    at = _surface(carry(mesh.values, mesh.triangles, triangle, weights[solid]))
    material = mesh.materials[triangle]
    shadows, frame, scale = _shadow_map(scene.light, mesh)
    lit, blocked = _key_light(scene.light, at, shadows, frame, scale)
    albedo, tilt, bare = paint(at.rest, at.auricle, at.scalp, scene.paint, placed_moles(scene.look, scene.bust))
    skin = material == SKIN
    tilt *= skin[:, None]
    view = unit(scene.camera.position.astype(np.float32) - at.place)
    away = ~skin
    away[away] = (at.normal[away] * view[away]).sum(1) < -0.2
    at.normal[away] *= -1
    under, over = reflect(
        at.normal, tilt, at.ambient, at.open, albedo, view, lit,
        scene.light.direction, scene.light.key, np.where(skin, scene.look.roughness, 0.22) ** 2,
    )  # fmt: skip
    mirror = scene.light.surroundings(mirrored(at.normal, tilt, view))
    shine = over + ambient_shine(at.normal, at.open, view, mirror)
    gloss = 1.35 * scene.look.oiliness * scene.gloss * bare
    through = translucency(at.normal, at.auricle * skin, blocked, scene.light.direction, scene.look.melanin)
    diffused = scattered(under, skin & (bare > 0), solid, scene.camera.scale)
    rgb = np.zeros((height, width, 3), np.float32)
    colour = albedo * diffused + through * scene.light.key + shine * gloss[:, None]
    own = mesh.colours[triangle]
    eye = material == EYE
    own[eye] = eye_colours(at.rest[eye], scene.look.melanin)
    rgb[solid] = _others(colour, material, own, under, mirror, over)
    if scene.hair is None:
        return Rendered(rgb, solid, np.zeros(depth.shape, np.float32), depth)
    strands = cut(scene.hair, scene.camera, height, width)
    falls = shadow(shadows, _in_light(strands.middle, frame, scale), 0.03, _disc(5, 3.0))[0]
    colours = shade_segments(strands, scene.camera, scene.light, falls, scene.gloss)
    rgb, cover = draw_hair(rgb, depth, strands, colours, scene.camera, scene.light)
    return Rendered(rgb, solid, cover, depth)


def _mesh(scene: Scene) -> Mesh:
    bust, template = scene.bust, scene.bust.template
    radiance = scene.light.surroundings(bust.directions)
    n = len(bust.points)
    points, normals, triangles = [bust.points], [bust.normals], [template.triangles]
    materials, colours = [np.where(template.eyes, EYE, SKIN)], [np.zeros((len(template.triangles), 3))]
    for part in scene.parts:
        triangles.append((part.triangles + n).astype(np.int32))
        points.append(part.points)
        normals.append(vertex_normals(part.points, part.triangles))
        materials.append(np.full(len(part.triangles), part.material))
        colours.append(np.tile(part.colour, (len(part.triangles), 1)))
        n += len(part.points)
    joined = np.concatenate(points)
    values = np.zeros((n, 15), np.float32)
    head = len(bust.points)
    values[:, 0:3], values[:, 12:15] = np.concatenate(normals), joined
    values[:head, 3:6] = template.rest
    values[:head, 6:9], values[head:, 6:9] = bust.ambient(radiance), 0.8 * radiance.mean(0)
    values[:head, 9], values[head:, 9] = bust.openness, 0.8
    values[:head, 10], values[:head, 11] = template.auricle, template.scalp
    return Mesh(joined, np.concatenate(triangles), np.concatenate(materials), np.concatenate(colours), values)


def _surface(values: Floats) -> Surface:
    return Surface(
        unit(values[:, 0:3]), values[:, 3:6].copy(), values[:, 6:9].copy(), np.clip(values[:, 9], 0, 1),
        values[:, 10].copy(), values[:, 11].copy(), values[:, 12:15].copy(),
    )  # fmt: skip


def _shadow_map(light: Light, mesh: Mesh) -> tuple[Floats, Floats, float]:
    """What the key light sees: depths, its frame, and pixels per dm."""
    radius = 1.3 if np.ptp(mesh.points[:, 1]) < 4.2 else 2.0
    frame, scale = light_frame(light.direction), SHADOW_SIDE / (2 * radius)
    return depth_map(_in_light(mesh.points, frame, scale), mesh.triangles, SHADOW_SIDE), frame, scale


def _in_light(points: Floats, frame: Floats, scale: float) -> Floats:
    seen: Floats = points @ (frame * np.array([[scale], [scale], [1.0]])).T
    seen[:, :2] += SHADOW_SIDE / 2
    return seen


def _disc(taps: int, radius: float) -> Floats:
    """Offsets (taps, 2) px that fill a disc."""
    turn, out = np.arange(taps) * 2.4, radius * np.sqrt((np.arange(taps) + 0.5) / taps)
    return np.stack([out * np.cos(turn), out * np.sin(turn)], 1)


def _key_light(light: Light, at: Surface, shadows: Floats, frame: Floats, scale: float) -> tuple[Floats, Floats]:
    """Of each pixel: the share of the key light that reaches it, and how much matter lies before it, dm."""
    lifted = _in_light(at.place + 0.006 * at.normal, frame, scale)
    bias = 0.010 + 0.010 * light.softness / 4
    return shadow(shadows, lifted, bias, _disc(TAPS, light.softness * 2.08 * scale / SHADOW_SIDE))


def _others(colour: Floats, material: Ints, own: Floats, under: Floats, mirror: Floats, key: Floats) -> Floats:
    """The colours (p, 3), with eyes, metal and plastic in place of skin where those are."""
    eye, metal = material == EYE, material == METAL
    plastic = (material != SKIN) & ~eye & ~metal
    colour[eye] = own[eye] * under[eye] + 0.04 * mirror[eye] + key[eye]
    colour[metal] = own[metal] * (mirror[metal] ** 1.6 * 0.8 + 0.1 + 4.0 * key[metal])
    colour[plastic] = own[plastic] * under[plastic] + 0.06 * mirror[plastic] + key[plastic]
    return colour
