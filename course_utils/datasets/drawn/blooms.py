"""Draws one flower into a picture: daisy, dandelion, rose, sunflower or tulip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from course_utils.datasets.drawn.petals import (
    CUP,
    GOLDEN_ANGLE,
    POINTED,
    RAY,
    STRAP,
    Bloom,
    Colour,
    dot,
    mix,
    points,
    polygon,
    tint,
)

WHITE = (255, 255, 255)
ROSES = ((196, 22, 40), (232, 110, 140), (245, 236, 222), (245, 200, 70), (240, 130, 90))
TULIPS = [
    (205, 25, 35),
    (245, 190, 30),
    (230, 95, 150),
    (120, 40, 120),
    (245, 238, 225),
    (240, 120, 30),
]


def daisy(bloom: Bloom) -> None:
    """Narrow white rays, now and then pink, round a yellow disc."""
    rng = bloom.rng
    colour = (235, 170, 200) if rng.random() < 0.12 else (246, 246, 240)
    count, core = int(rng.integers(13, 28)), rng.uniform(0.2, 0.32)
    lift = (0, rng.uniform(-0.35, 0.25))
    width = rng.uniform(0.75, 1.05) * 2.1 / count
    start = core * 0.7
    for shorter, shade in ((1.0, 0.9), (0.92, 1.0)):
        length = (1 - start) * shorter
        bloom.ring(RAY, count, start, length, width, tint(colour, shade), lift, centre=0.93)
    bloom.disc(core, core * 0.5, [(235, 170, 20), (250, 205, 40), (225, 150, 15)], 70)


def dandelion(bloom: Bloom) -> None:
    """A dense yellow head of straps; one in five has gone to seed."""
    rng = bloom.rng
    if rng.random() < 0.2:
        dandelion_clock(bloom)
        return
    colour = mix((250, 205, 15), (240, 170, 10), rng.uniform())
    opened = rng.uniform(0.1, 0.45)
    bloom.disc(0.4, opened, [tint(colour, 0.75)] * 2, 30)
    density = min(1.0, 0.5 + bloom.radius / 120)  # a small head needs fewer straps to look dense
    for k, reach in enumerate(np.linspace(1, 0.3, 6)):
        count, shade = int((38 - 4 * k) * density), mix(colour, (225, 140, 5), 0.09 * k)
        lift = (0.0, opened * (1 - reach) + 0.03 * k)
        size = (0.05, reach * 0.95, 0.05 / density)
        bloom.ring(STRAP, count, *size, shade, lift, centre=1.1, jitter=0.13)


def dandelion_clock(bloom: Bloom) -> None:
    """The grey ball of seeds: tufts on a sphere, each on its own thread."""
    draw, rng, count = bloom.draw, bloom.rng, 110
    height = np.linspace(-0.95, 0.95, count)
    flat = np.sqrt(1 - height**2)
    angles = np.arange(count) * GOLDEN_ANGLE + rng.uniform(0, 7)
    sphere = points(flat * np.cos(angles), height, flat * np.sin(angles))
    sphere *= rng.uniform(0.85, 1.0, (count, 1))
    # Seen as a ball from anywhere, so tilt does not flatten it.
    ends = sphere[:, :2] * bloom.radius * 0.9 + (bloom.x, bloom.y)
    dot(draw, bloom.x, bloom.y, bloom.radius * 0.93, (225, 228, 225, 50))
    tuft = bloom.radius * 0.17
    for (x, y), depth in zip(ends, sphere[:, 2], strict=True):
        tone = int(205 + 45 * depth)
        draw.line((bloom.x, bloom.y, x, y), fill=(tone, tone, tone - 8, 110), width=1)
        for spoke in rng.uniform(0, np.pi) + np.arange(4) * np.pi / 4:
            dx, dy = tuft * np.cos(spoke), tuft * np.sin(spoke)
            draw.line((x - dx, y - dy, x + dx, y + dy), fill=(tone, tone, tone - 4, 120), width=1)
    dot(draw, bloom.x, bloom.y, bloom.radius * 0.13, (120, 100, 70))


def rose(bloom: Bloom) -> None:
    """Broad overlapping petals in rings that wind into a spiral; one in seven is a bud."""
    rng = bloom.rng
    colour = ROSES[rng.choice(len(ROSES), p=(0.34, 0.28, 0.14, 0.14, 0.1))]
    depth = rng.uniform(0.2, 0.5)
    turn = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.15:
        rose_bud(bloom, colour)
        return
    bloom = replace(bloom, tilt=0.7 * bloom.tilt)  # a full rose is a ball: it never looks flat
    for k, reach in enumerate((1.0, 0.84, 0.68, 0.53, 0.39, 0.27)):
        count = 5 if k < 4 else 3
        angles = turn + GOLDEN_ANGLE * k + np.arange(count) * 2 * np.pi / count
        rose_ring(bloom, angles + rng.normal(0, 0.12, count), reach, depth, colour)
    bloom.disc(0.16, depth, [tint(colour, 0.6)] * 2, 12)
    around, r = np.linspace(0.5, 5 * np.pi, 40) + turn, np.linspace(0.02, 0.2, 40)
    core = bloom.project(points(r * np.cos(around), r * np.sin(around), 0 * r + depth))
    width = max(1, int(bloom.radius * 0.04))
    bloom.draw.line(core.ravel().tolist(), fill=tint(colour, 0.5), width=width)


def rose_ring(bloom: Bloom, angles: np.ndarray, reach: float, depth: float, colour: Colour) -> None:
    """Broad petals at ``angles``, each a shadow, a body and the bright curled rim; ``reach`` is
    their distance from the axis."""
    draw, rng, count = bloom.draw, bloom.rng, len(angles)
    across = np.linspace(-1, 1, 11)
    around = angles[:, None] + across * (2 * np.pi / count * 0.72)
    rim = reach * (1 - 0.22 * np.abs(across) ** 3) * rng.normal(1, 0.03, (count, 1))
    rim = rim + 0.02 * rng.normal(size=(count, 11))
    edge = points(rim * np.cos(around), rim * np.sin(around), depth * (1 - reach))
    back = edge[:, ::-1]
    body = np.concatenate([edge, back * (0.35, 0.35, 1) - (0, 0, 0.1)], axis=1)
    shadows = bloom.project(body * (1.05, 1.05, 1))
    rims = bloom.project(np.concatenate([edge, back * (0.88, 0.88, 1)], axis=1))
    bodies = bloom.project(body)
    shades = bloom.shade(angles) * (0.72 + 0.28 * reach) * rng.normal(1, 0.05, count)
    pale = mix(colour, WHITE, 0.16)
    for i, shade in enumerate(shades.tolist()):
        polygon(draw, shadows[i], tint(colour, shade * 0.5, 150))
        polygon(draw, bodies[i], tint(colour, shade))
        polygon(draw, rims[i], tint(pale, shade * 1.08, 200))


def rose_bud(bloom: Bloom, colour: Colour) -> None:
    """A closed rose from the side: petals wrapped round each other, green sepals below."""
    rim = mix(colour, WHITE, 0.2)
    for lean, wide, tall, shade in (
        (-0.1, 0.35, 1.7, 0.65),
        (0.12, 0.38, 1.6, 0.75),
        (-0.22, 0.45, 1.45, 0.9),
        (0.2, 0.46, 1.3, 1.0),
    ):
        bloom.cup_petal(lean, wide, tall, colour, rim, shade, lean)
    for lean in (-0.9, -0.3, 0.3, 0.9):
        bloom.cup_petal(lean, 0.1, 0.7, (80, 120, 50), (60, 100, 40), 1.0, 0.0)


def sunflower(bloom: Bloom) -> None:
    """Pointed yellow petals round a large brown disc."""
    rng = bloom.rng
    colour = mix((252, 200, 20), (235, 145, 10), rng.uniform())
    core, count = rng.uniform(0.38, 0.58), int(rng.integers(15, 26))
    for layer in (0, 1):
        start, length = core * 0.85, 1 - core * 0.85 - 0.06 * layer
        width = rng.uniform(0.85, 1.15) * 2.4 / count
        lift = (0, rng.uniform(-0.15, 0.3))
        bloom.ring(POINTED, count, start, length, width, tint(colour, 0.86 + 0.14 * layer), lift)
    brown = mix((70, 38, 18), (110, 75, 25), rng.uniform())
    middle = mix(brown, (150, 150, 40), rng.uniform(0, 0.7))
    bloom.disc(core, 0.1, [middle, tint(brown, 0.7), brown, (170, 110, 25)], 150)


def tulip(bloom: Bloom) -> None:
    """A cup of six petals, mostly seen from the side; one in eight open, seen from above."""
    rng = bloom.rng
    colour = TULIPS[rng.integers(len(TULIPS))]
    edge = mix(colour, (255, 225, 120), rng.choice([0.0, 0.1, 0.6], p=[0.5, 0.3, 0.2]))
    if rng.random() < 0.12:
        for length in (1.0, 0.9):
            bloom.ring(CUP, 3, 0.02, length, 0.42, colour, (0, 0.35), centre=1.1)
        bloom.disc(0.16, 0.1, [(60, 60, 20), (30, 25, 30)], 20)
        return
    opened = rng.uniform(0.05, 0.4)
    for lean, wide, tall, shade in (
        (-0.6, 0.4, 1.9, 0.62),
        (0.55, 0.4, 1.95, 0.66),
        (0.0, 0.42, 1.9, 0.74),
        (-1.0, 0.42, 1.85, 0.9),
        (1.0, 0.42, 1.8, 0.84),
        (rng.uniform(-0.2, 0.2), 0.5, 1.75, 1.0),
    ):
        lit = shade * (1 + 0.12 * np.sign(lean) * np.cos(bloom.light))
        bloom.cup_petal(lean * opened, wide, tall, colour, edge, lit, lean * 0.3)


DRAW: dict[str, Callable[[Bloom], None]] = {
    "daisy": daisy,
    "dandelion": dandelion,
    "roses": rose,
    "sunflowers": sunflower,
    "tulips": tulip,
}
