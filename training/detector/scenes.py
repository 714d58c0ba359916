"""Whole pictures for the coarse stage: ears of every size on backgrounds, whole heads, and pictures without ears.

A picture is a function of the generator it is given. Knows pixels and boxes, no tensors.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from bundle import image
from bundle.framing import Box
from bundle.landmarks import GREY, LETTERBOX_PX, letterbox
from common.records.record import EarRecord
from training.detector.sources import free_picture, read

HEIGHTS_PX = (32.0, 460.0)
"""Of ears in the letterbox; each size is as likely as any other, on a logarithmic scale."""
MOST_ENLARGED = 4.0
ROTATION_DEG = 12.0
WITHOUT_EAR = 0.2
"""Share of pictures without any ear; of these, `COVERED` are heads whose ear is hidden."""
COVERED = 0.4
FREE = 0.5
"""Share of pictures and backdrops without an ear that are of records without ears, where there are such."""
AS_POSTED = 0.35
"""Share of pictures that are a photo as it comes, letterboxed."""
SECOND_EAR = 0.2
WIDE = 0.5
"""Share drawn from pictures that show more than an ear (`is_wide`)."""


class Scene(NamedTuple):
    """One composed picture."""

    picture: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    boxes: NDArray[np.float32]
    """(E, 4) x1, y1, x2, y2 in pixels of the 640 px letterbox, whatever S is."""
    right: NDArray[np.float32]
    """(E,) 1 for a right ear, 0 for a left one, 0.5 where it is not known."""


class _Pasted(NamedTuple):
    canvas: Image.Image
    covers: NDArray[np.uint8]
    box: NDArray[np.float32]
    right: float


class SceneMaker:
    """Composes scenes out of records.

    Args:
        records: pictures with a box.
        side: of the pictures made, pixels.
        free: pictures without ears.
    """

    def __init__(self, records: Sequence[EarRecord], side: int = LETTERBOX_PX, free: Sequence[EarRecord] = ()) -> None:
        self._free = free
        self._records, self._side, self._scale = records, side, side / LETTERBOX_PX
        self._wide = [record for record in records if is_wide(record)] or records

    def __call__(self, generator: np.random.Generator) -> Scene:
        canvas = self._backdrop(generator)
        ears: list[_Pasted] = []
        if generator.random() < WITHOUT_EAR:
            if self._free and generator.random() < FREE:
                canvas = self._whole(generator)
            elif generator.random() < COVERED:
                canvas = self._hidden(canvas, generator)
        else:
            ears.append(self._paste(canvas, generator, generator.random() < AS_POSTED))
            if generator.random() < SECOND_EAR:
                ears += self._another(ears[0], generator)
            canvas = ears[-1].canvas
        boxes = np.array([ear.box for ear in ears], np.float32).reshape(-1, 4) / self._scale
        pixels = np.asarray(relit(canvas, generator))
        return Scene(pixels, boxes, np.array([ear.right for ear in ears], np.float32))

    def _paste(self, canvas: Image.Image, generator: np.random.Generator, as_posted: bool) -> _Pasted:
        """Lay the picture of one record over the canvas."""
        pixels, box = read(record := self._draw(generator))
        picture = Image.fromarray(pixels)
        mirrored = bool(generator.random() < 0.5)
        if mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            box = (picture.width - box[2], box[1], picture.width - box[0], box[3])
        right = 0.5 if record.side is None else float((record.side == "right") != mirrored)
        if as_posted:
            zoom, angle = self._side / max(picture.size), 0.0
            centre = _middle(box, picture.size, zoom, self._side)
            canvas = Image.new("RGB", canvas.size, (GREY, GREY, GREY))
        else:
            zoom, angle, centre = self._anywhere(box, generator)
        return _laid(canvas, picture, box, zoom, angle, centre, right, generator)

    def _anywhere(self, box: Box, generator: np.random.Generator) -> tuple[float, float, tuple[float, float]]:
        """Zoom, rotation in radians, and where the ear's centre comes to lie."""
        low, high = (math.log(size * self._scale) for size in HEIGHTS_PX)
        zoom = min(math.exp(generator.uniform(low, high)) / (box[3] - box[1]), MOST_ENLARGED * self._scale)
        reach = min(zoom * max(box[2] - box[0], box[3] - box[1]) * 0.5, self._side * 0.49)
        x, y = generator.uniform(reach, self._side - reach, 2)
        return zoom, math.radians(generator.uniform(-ROTATION_DEG, ROTATION_DEG)), (x, y)

    def _another(self, first: _Pasted, generator: np.random.Generator) -> list[_Pasted]:
        """A second ear that leaves the first one visible; none after a few vain tries."""
        x1, y1, x2, y2 = first.box.clip(0, self._side - 1).astype(int)
        for _ in range(4):
            second = self._paste(first.canvas, generator, as_posted=False)
            if not second.covers[y1 : y2 + 1, x1 : x2 + 1].any():
                return [second]
        return []

    def _hidden(self, canvas: Image.Image, generator: np.random.Generator) -> Image.Image:
        """A head whose ear lies under something else."""
        ear = self._paste(canvas, generator, as_posted=bool(generator.random() < 0.5))
        x1, y1, x2, y2 = ear.box
        grow_x, grow_y = 0.2 * (x2 - x1), 0.2 * (y2 - y1)
        size = (math.ceil(x2 - x1 + 2 * grow_x), math.ceil(y2 - y1 + 2 * grow_y))
        patch = self._texture(generator).resize(size, Image.Resampling.BILINEAR)
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).ellipse((0, 0, size[0] - 1, size[1] - 1), fill=255)
        mask = mask.point([min(value * 2, 255) for value in range(256)])
        whole = ear.canvas.copy()
        ImageDraw.Draw(mask).rectangle((size[0] * 0.08, size[1] * 0.08, size[0] * 0.92, size[1] * 0.92), fill=255)
        mask = mask.filter(ImageFilter.GaussianBlur(max(min(size) * 0.04, 0.5)))
        whole.paste(patch, (round(x1 - grow_x), round(y1 - grow_y)), mask)
        return whole

    def _backdrop(self, generator: np.random.Generator) -> Image.Image:
        chance = generator.random()
        if chance < 0.2:
            return Image.new("RGB", (self._side, self._side), (GREY, GREY, GREY))
        if chance < 0.5:
            return drawn(self._side, generator)
        return self._texture(generator).resize((self._side, self._side), Image.Resampling.BILINEAR)

    def _whole(self, generator: np.random.Generator) -> Image.Image:
        """A picture without ears as it comes, perhaps mirrored, letterboxed."""
        pixels = image.decode(self._free[int(generator.integers(len(self._free)))].read())
        return Image.fromarray(letterbox(pixels[:, ::-1] if generator.random() < 0.5 else pixels, self._side).picture)

    def _draw(self, generator: np.random.Generator) -> EarRecord:
        """Whole heads and framed ears in equal parts, however many there are of each."""
        records = self._wide if generator.random() < WIDE else self._records
        return records[int(generator.integers(len(records)))]

    def _texture(self, generator: np.random.Generator) -> Image.Image:
        """Something real that is no ear, or something drawn where that is hard to find."""
        pixels = free_picture(any_free(self._free, generator) or self._draw(generator), generator)
        return drawn(64, generator) if pixels is None else Image.fromarray(pixels)


def any_free(free: Sequence[EarRecord], generator: np.random.Generator) -> EarRecord | None:
    """Now and then a record without ears; None: take a part of a picture with an ear."""
    return free[int(generator.integers(len(free)))] if free and generator.random() < FREE else None


def is_wide(record: EarRecord) -> bool:
    """Whether the picture shows much more than its ear; opens the file's header only."""
    assert record.box is not None
    with Image.open(io.BytesIO(record.read())) as picture:
        return max(record.box[2] - record.box[0], record.box[3] - record.box[1]) < 0.3 * max(picture.size)


def _middle(box: Box, size: tuple[int, int], zoom: float, side: int) -> tuple[float, float]:
    """Where the ear's centre lies once the whole picture lies in the middle of the canvas."""
    x = ((box[0] + box[2]) / 2 - size[0] / 2) * zoom + side / 2
    y = ((box[1] + box[3]) / 2 - size[1] / 2) * zoom + side / 2
    return x, y


def _laid(
    canvas: Image.Image,
    picture: Image.Image,
    box: Box,
    zoom: float,
    angle: float,
    centre: tuple[float, float],
    right: float,
    generator: np.random.Generator,
) -> _Pasted:
    """The picture turned and zoomed about its ear, laid over the canvas, its border sharp or soft."""
    shrink = max(int(1 / zoom), 1)
    small = picture.reduce(shrink) if shrink > 1 else picture
    from_x, from_y = (box[0] + box[2]) / 2 / shrink, (box[1] + box[3]) / 2 / shrink
    cos, sin = math.cos(angle) / (zoom * shrink), math.sin(angle) / (zoom * shrink)
    # Pillow wants the way back, from canvas to picture.
    offset_x, offset_y = from_x - cos * centre[0] - sin * centre[1], from_y + sin * centre[0] - cos * centre[1]
    way = (cos, sin, offset_x, -sin, cos, offset_y)
    kind, smooth = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    moved = small.transform(canvas.size, kind, way, smooth)
    mask = Image.new("L", small.size, 255).transform(canvas.size, kind, way, smooth)
    if angle and generator.random() < 0.5:
        mask = mask.filter(ImageFilter.GaussianBlur(float(generator.uniform(1, 6))))
    whole = Image.composite(moved, canvas, mask)
    return _Pasted(whole, np.asarray(mask), turned_box(box, zoom, angle, centre), right)


def turned_box(box: Box, zoom: float, angle: float, centre: tuple[float, float]) -> NDArray[np.float32]:
    """The box around the ellipse that fills `box`, after zooming and turning it."""
    half_x, half_y = (box[2] - box[0]) / 2 * zoom, (box[3] - box[1]) / 2 * zoom
    cos, sin = math.cos(angle), math.sin(angle)
    wide, high = math.hypot(half_x * cos, half_y * sin), math.hypot(half_x * sin, half_y * cos)
    return np.array([centre[0] - wide, centre[1] - high, centre[0] + wide, centre[1] + high], np.float32)


def drawn(side: int, generator: np.random.Generator) -> Image.Image:
    """Rectangles and discs of random colours, blurred and noisy."""
    canvas = Image.new("RGB", (side, side), tuple(generator.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(generator.integers(0, 12))):
        x, y, wide, high = (generator.random(4) * (side, side, side * 0.5, side * 0.5)).tolist()
        shape = pen.rectangle if generator.random() < 0.6 else pen.ellipse
        shape((x, y, x + wide, y + high), fill=tuple(generator.integers(0, 256, 3).tolist()))
    if generator.random() < 0.5:
        canvas = canvas.filter(ImageFilter.BoxBlur(float(generator.uniform(0, side / 80))))
    coarse = generator.normal(0, generator.uniform(0, 12), (side // 4, side // 4, 3)) + 128
    noise = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    return Image.blend(canvas, noise, 0.15)


def relit(canvas: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Another exposure, contrast and tint; now and then grey or blurred."""
    ramp = np.linspace(0, 1, 256)
    tables: list[int] = []
    gamma, gain = math.exp(generator.uniform(-0.35, 0.35)), math.exp(generator.uniform(-0.3, 0.3))
    for _ in range(3):
        curve = gain * math.exp(generator.uniform(-0.1, 0.1)) * ramp**gamma + generator.uniform(-0.06, 0.06)
        tables += (curve.clip(0, 1) * 255).round().astype(int).tolist()
    canvas = canvas.point(tables)
    chance = generator.random(2)
    if chance[0] < 0.08:
        canvas = canvas.convert("L").convert("RGB")
    if chance[1] < 0.15:
        canvas = canvas.filter(ImageFilter.GaussianBlur(float(generator.uniform(0.3, 1.5))))
    return canvas
