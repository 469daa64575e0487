"""Pictures of the five flowers, drawn by the course: what stands in when photos cannot be had.

Every picture is a scene: a background, stems and leaves, one flower or several, sometimes a leaf
in front, then light, focus and noise. The variation is chosen so that a probe on real
MobileNetV2 features with 20 a class gets between 60 and 90 % right on other scenes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageFilter
from PIL.ImageDraw import Draw, ImageDraw

from course_utils.datasets.drawn.blooms import DRAW
from course_utils.datasets.drawn.petals import (
    Bloom,
    Colour,
    Rng,
    dot,
    mix,
    outline,
    points,
    polygon,
    tint,
)
from course_utils.images import ImageSet

CLASSES = tuple(DRAW)
OVERSAMPLING = 2  # Pillow draws without antialiasing; the scene is drawn larger and reduced

# False colours from cold to hot, RGB, evenly spaced.
HEAT = [(5, 5, 30), (60, 10, 120), (170, 25, 110), (235, 90, 40), (252, 190, 40), (255, 255, 220)]
SKIES = [(60, 120, 200), (120, 165, 220), (150, 160, 170)]
SOIL = [(50, 34, 22), (110, 80, 55), (150, 125, 100)]
GREENS = [  # dark and lighter: of grass, of leaves and behind lights
    [(20, 45, 15), (70, 110, 40)],
    [(35, 60, 25), (120, 140, 60)],
    [(10, 25, 20), (40, 75, 50)],
    [(60, 55, 35), (140, 125, 80)],
]
LIGHTS = [(250, 200, 30), (240, 240, 235), (220, 60, 80), (225, 120, 170)]  # as of flowers far away


def render_flowers(per_class: int, *, size: int = 128, seed: int = 0) -> ImageSet:
    """Draw ``per_class`` scenes of each flower.

    Parameters
    ----------
    per_class : scenes a class; the first 20 of 100 are those of ``per_class=20``
    size : side in pixels
    seed : another seed gives other scenes, the same seed the same to the last bit

    Returns an ImageSet of 5 * per_class images, uint8 [N, 3, size, size], sorted by class.
    Raises ValueError for a number below 1 (size: below 16).
    """
    if per_class < 1 or size < 16:
        raise ValueError(f"per_class={per_class}, size={size}: expected at least 1 and 16")
    images = np.empty((len(CLASSES) * per_class, size, size, 3), dtype=np.uint8)
    for i in range(len(images)):
        label, position = divmod(i, per_class)
        # A generator of its own for each picture: none depends on how many are drawn before it.
        images[i] = draw_scene(CLASSES[label], size, np.random.default_rng([seed, label, position]))
    labels = torch.arange(len(CLASSES)).repeat_interleave(per_class)
    return ImageSet(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), labels, CLASSES)


def draw_scene(flower: str, size: int, rng: Rng) -> np.ndarray:
    """One picture of ``flower``, uint8 [size, size, 3]."""
    scene = background(size, rng).resize((size * OVERSAMPLING,) * 2, Image.Resampling.BILINEAR)
    draw = Draw(scene, "RGBA")
    direction = rng.uniform(0, 2 * np.pi)
    blooms = place(flower, draw, scene.width, rng, direction)
    for bloom in blooms:
        stem(bloom, flower, scene.height * 1.05)
    for bloom in blooms:
        shadow(bloom)
        DRAW[flower](bloom)
    if rng.random() < 0.55:
        foreground(draw, scene.width, rng)
    focus = ImageFilter.GaussianBlur(size / 128 * min(2.2, rng.gamma(1.4, 0.75)))
    pixels = np.asarray(scene.reduce(OVERSAMPLING).filter(focus), dtype=np.float32) / 255
    pixels = light(pixels, direction, rng)
    grain = rng.standard_normal((size, size, 1), dtype=np.float32)  # of film: grey, not coloured
    pixels = pixels + rng.beta(1, 3) * 0.06 * grain
    return (pixels.clip(0, 1) * 255).astype(np.uint8)


def place(flower: str, draw: ImageDraw, width: int, rng: Rng, direction: float) -> list[Bloom]:
    """Where the blooms stand: one large, or several smaller ones, far ones first."""
    count = int(rng.choice([1, 2, 3, 5, 8], p=[0.36, 0.18, 0.17, 0.15, 0.14]))
    largest = 0.44 if count == 1 else 0.46 / np.sqrt(count)
    blooms = []
    for radius in np.sort(width * rng.uniform(0.28 * largest, largest, count)):
        x, y = width * (0.5 + rng.normal(0, 0.1 if count == 1 else 0.22, 2)).clip(0.08, 0.92)
        tilt = rng.beta(1.2, 1.4) * 1.4
        roll = rng.normal(0, 0.25 if flower == "tulips" else 0.6)
        blooms.append(Bloom(draw, rng, x, y, radius, tilt, roll, direction))
    return blooms


def smooth_noise(size: int, rng: Rng, cells: int) -> np.ndarray:
    """Soft random blotches in 0..1, [size, size]; ``cells`` of them across the picture."""
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255


def blend(colours: Sequence[Colour], amount: np.ndarray) -> np.ndarray:
    """Map ``amount`` in 0..1 to a colour between evenly spaced ``colours``: uint8 [..., 3]."""
    stops, shades = np.linspace(0, 1, len(colours)), np.linspace(0, 1, 256)
    # A table of 256 colours costs a hundredth of interpolating at each pixel.
    table = [np.interp(shades, stops, channel) for channel in zip(*colours, strict=True)]
    return np.stack(table, axis=-1).astype(np.uint8)[(amount * 255).astype(np.uint8)]


def background(size: int, rng: Rng) -> Image.Image:
    """Grass, soil, sky, leaves or lights out of focus."""
    kind = rng.choice(["grass", "soil", "sky", "leaves", "bokeh"], p=[0.27, 0.12, 0.15, 0.24, 0.22])
    fine = 0.6 * smooth_noise(size, rng, 5) + 0.4 * smooth_noise(size, rng, 24)
    if kind == "sky":
        top = SKIES[rng.integers(3)]
        return Image.fromarray(blend([top, top, (235, 240, 245)], fine))
    if kind == "soil":
        return Image.fromarray(blend(SOIL, fine))
    dark, mid = GREENS[rng.integers(4)]
    picture = Image.fromarray(blend([dark, mid], fine))
    draw = Draw(picture, "RGBA")
    for _ in range({"grass": 70, "leaves": 22, "bokeh": 26}[kind]):
        x, y = rng.uniform(-0.1, 1.1, 2) * size
        colour: Colour = mix(dark, mid, rng.uniform(0, 1.6))
        if kind == "grass":
            blade(draw, x, y + size * 0.3, size * rng.uniform(0.3, 0.8), size * 0.012, colour, rng)
        elif kind == "leaves":
            leaf(draw, x, y, size * rng.uniform(0.1, 0.26), rng.uniform(0, 7), colour, rng)
        else:
            radius = size * rng.uniform(0.03, 0.14)
            colour = LIGHTS[rng.integers(4)] if rng.random() < 0.17 else colour
            dot(draw, x, y, radius, tint(colour, 1.2, 150))
    blur = rng.uniform(2, 4) if kind == "bokeh" else rng.choice([0.3, 1.5, 3.0])
    return picture.filter(ImageFilter.GaussianBlur(float(blur) * size / 128))


def blade(
    draw: ImageDraw, x: float, y: float, length: float, width: float, colour: Colour, rng: Rng
) -> None:
    """A blade of grass that grows upwards from (x, y) and bends."""
    up = np.linspace(0, 1, 6)
    bend = rng.normal(0, 0.35) * up**2 + rng.normal(0, 0.15) * up
    up, half = outline(width * (1 - up))
    spine = x + length * np.append(bend, bend[::-1])
    polygon(draw, points(spine + half, y - length * up), tint(colour, 1))


def leaf(
    draw: ImageDraw, x: float, y: float, length: float, angle: float, colour: Colour, rng: Rng
) -> None:
    """An oval leaf with its midrib, from (x, y) in direction ``angle``."""
    share = np.linspace(0, 1, 8)
    flat = points(*outline(np.sin(np.pi * share**0.8) * rng.uniform(0.2, 0.32)))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = length * flat @ turn + (x, y)
    tone = rng.uniform(0.75, 1.2)
    polygon(draw, corners, tint(colour, tone), tint(colour, tone * 0.6))
    polygon(draw, corners[:8], tint(colour, tone * 1.15, 120))


def stem(bloom: Bloom, flower: str, foot: float) -> None:
    """The stem down to ``foot``, below the lower edge, and the kind of leaves the flower has."""
    draw, rng, radius = bloom.draw, bloom.rng, bloom.radius
    green = mix((60, 110, 40), (95, 135, 60), rng.uniform())
    share = np.linspace(0, 1, 8)
    x = bloom.x - np.sin(bloom.roll) * radius * share * 1.5 + radius * 0.3 * share**2
    y = bloom.y + (foot - bloom.y) * share
    path = points(x, y).ravel().tolist()
    draw.line(path, fill=tint(green, 1), width=max(1, int(radius * 0.11)), joint="curve")
    for side in (-1, 1):
        k = int(rng.integers(3, 7))
        if flower == "tulips":
            start, length = x[-1] + side * radius * 0.3, (foot - bloom.y) * 0.9
            colour = tint(green, 0.9 + 0.15 * side)
            blade(draw, start, foot, length, radius * 0.24, colour, rng)
        elif rng.random() < 0.6:
            size = radius * (1.3 if flower == "sunflowers" else 0.7)
            leaf(draw, x[k], y[k], size, np.pi / 2 - side * rng.uniform(0.6, 1.7), green, rng)


def shadow(bloom: Bloom) -> None:
    """Three growing translucent ellipses: a soft shadow without the price of a blur."""
    x = bloom.x - 0.15 * bloom.radius * np.cos(bloom.light)
    y = bloom.y - 0.15 * bloom.radius * np.sin(bloom.light)
    for grow in (0.75, 0.9, 1.05):
        rx, ry = bloom.radius * grow, bloom.radius * grow * max(0.45, np.cos(bloom.tilt))
        bloom.draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=(0, 10, 0, 32))


def foreground(draw: ImageDraw, width: int, rng: Rng) -> None:
    """Something that grows in front: blades of grass or a leaf from the edge."""
    green = mix((40, 85, 30), (130, 150, 70), rng.uniform())
    if rng.random() < 0.5:
        for x in rng.uniform(0, width, int(rng.integers(2, 7))):
            blade(draw, x, width * 1.02, width * rng.uniform(0.4, 0.9), width * 0.018, green, rng)
    else:
        x, y = rng.uniform(0, width), rng.choice([0, width])
        to_middle = np.arctan2(width / 2 - y, width / 2 - x) + rng.normal(0, 0.3)
        leaf(draw, x, y, width * rng.uniform(0.35, 0.6), to_middle, green, rng)


def light(pixels: np.ndarray, direction: float, rng: Rng) -> np.ndarray:
    """Time of day on float pixels [H, W, 3] in 0..1: exposure, warmth, a bright side, haze."""
    size = len(pixels)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    cos, sin = float(np.cos(direction)), float(np.sin(direction))
    side = ramp[None, :] * cos + ramp[:, None] * sin
    pixels = pixels * (1 + rng.uniform(0, 0.35) * side)[..., None]
    if rng.random() < 0.25:  # sun through leaves
        pixels = pixels * (0.55 + 0.8 * smooth_noise(size, rng, 6))[..., None]
    warmth = rng.normal(0, 0.13)
    pixels = pixels * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    pixels = pixels * np.float32(np.exp(np.clip(rng.normal(-0.05, 0.4), -0.8, 0.6)))
    haze = rng.beta(1, 5) * 0.6
    return pixels * (1 - haze) + haze * np.array([0.8, 0.83, 0.85], np.float32)


def false_colour(pixels: np.ndarray) -> np.ndarray:
    """Brightness as a heat camera would paint it, for float32 pixels [..., 3] in 0..1."""
    grey = pixels @ np.array([0.3, 0.59, 0.11], np.float32)
    return blend(HEAT, grey.clip(0, 1)).astype(np.float32) / 255
