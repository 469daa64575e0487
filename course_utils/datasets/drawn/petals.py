"""What the drawn flowers are made of: poses, petals, discs of florets.

A flower is a set of points in its own frame: x and y span the bloom (radius 1), z points out of its
face. A :class:`Pose` turns them into pixels, so one description serves every tilt and every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL.ImageDraw import ImageDraw

Rng = np.random.Generator
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))  # how seeds follow each other in a disc (Vogel, 1979)

# Half-width of a petal from its base to its tip, as a share of its greatest half-width.
RAY = (0.4, 0.6, 0.8, 0.95, 1.0, 0.95, 0.6)
POINTED = (0.5, 0.85, 1.0, 0.95, 0.75, 0.45, 0.05)
STRAP = (0.5, 0.7, 0.85, 1.0, 1.0, 1.0, 0.9)
CUP = (0.35, 0.66, 0.85, 0.96, 1.0, 0.99, 0.93, 0.82, 0.64, 0.4, 0.05)


@dataclass(frozen=True)
class Pose:
    """Where a bloom stands: centre (x, y) and radius in pixels; tilt (0: seen from above), roll
    and the direction of the light in radians."""

    x: float
    y: float
    radius: float
    tilt: float
    roll: float
    light: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the flower's frame -> pixels [..., 2], seen from far away."""
        across = points[..., 0]
        along = points[..., 1] * np.cos(self.tilt) - points[..., 2] * np.sin(self.tilt)
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = self.x + self.radius * (across * cos - along * sin)
        pixels[..., 1] = self.y + self.radius * (across * sin + along * cos)
        return pixels

    def shade(self, angles: np.ndarray) -> np.ndarray:
        """Brightness of petals that point at ``angles``: 1 +- 0.16, brightest towards the light."""
        return 1 + 0.16 * np.cos(angles + self.roll - self.light)


def tint(colour: Sequence[float], factor: float, alpha: int = 255) -> tuple[int, ...]:
    """``colour`` (RGB 0..255) made darker or lighter, with opacity ``alpha``; Pillow clips it."""
    red, green, blue = colour
    return int(red * factor), int(green * factor), int(blue * factor), alpha


def mix(a: Sequence[float], b: Sequence[float], share: float) -> tuple[float, ...]:
    """The colour that lies ``share`` of the way from ``a`` to ``b``."""
    keep = 1 - share
    return a[0] * keep + b[0] * share, a[1] * keep + b[1] * share, a[2] * keep + b[2] * share


def polygon(draw: ImageDraw, points: np.ndarray, fill: tuple, outline: tuple | None = None) -> None:
    """Fill the polygon of these pixel positions [K, 2]."""
    draw.polygon(points.ravel().tolist(), fill=fill, outline=outline)


def petal_outlines(
    angles: np.ndarray,
    start: float,
    lengths: np.ndarray,
    width: float,
    profile: Sequence[float],
    lift: tuple[float, float],
) -> np.ndarray:
    """Outlines [n, 2K, 3] of petals that leave the centre at ``angles``.

    ``lift`` is the height of base and tip: a negative tip hangs, a positive one makes a cup.
    """
    share = np.linspace(0, 1, len(profile))
    half = np.asarray(profile) * width
    share, half = np.append(share, share[::-1]), np.append(half, -half[::-1])
    reach = start + lengths[:, None] * share
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    outlines = np.empty((*reach.shape, 3))
    outlines[..., 0] = reach * cos - half * sin
    outlines[..., 1] = reach * sin + half * cos
    outlines[..., 2] = lift[0] + (lift[1] - lift[0]) * share**2
    return outlines


def ring(
    draw: ImageDraw,
    pose: Pose,
    rng: Rng,
    *,
    count: int,
    start: float,
    length: float,
    width: float,
    profile: Sequence[float],
    colour: Sequence[float],
    lift: tuple[float, float] = (0.0, 0.0),
    centre: float = 0.86,
    jitter: float = 0.1,
) -> None:
    """One ring of ``count`` petals. ``centre`` is the shade of each petal's middle against its
    edge; ``jitter`` how much length and direction vary."""
    angles = (np.arange(count) + rng.uniform() + rng.normal(0, jitter, count)) * 2 * np.pi / count
    lengths = length * (1 + jitter * rng.normal(0, 0.6, count))
    edges = pose.project(petal_outlines(angles, start, lengths, width, profile, lift))
    outlined = pose.radius * width > 1  # pixels; a line round less would hide the petal
    wide = pose.radius * width > 2.5  # below that nobody sees a petal's middle
    if wide:
        middles = petal_outlines(angles, start, lengths * 0.8, width * 0.4, profile, lift)
        middles = pose.project(middles)
    shades = (pose.shade(angles) * rng.normal(1, 0.05, count)).tolist()
    for i in rng.permutation(count).tolist():
        # The dark outline is the shadow that keeps petals of one colour apart.
        rim = tint(colour, shades[i] * 0.62) if outlined else None
        polygon(draw, edges[i], tint(colour, shades[i]), rim)
        if wide:
            polygon(draw, middles[i], tint(colour, shades[i] * centre, 130))


def disc(
    draw: ImageDraw,
    pose: Pose,
    rng: Rng,
    radius: float,
    height: float,
    colours: Sequence[Sequence[float]],
    count: int,
) -> None:
    """A dome of ``count`` florets in spirals; ``colours`` run from its middle to its rim."""
    count = min(count, 10 + int((pose.radius * radius) ** 2 / 6))  # no floret below a pixel or so
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rim = np.stack([radius * np.cos(around), radius * np.sin(around), 0 * around], axis=-1)
    polygon(draw, pose.project(rim * 1.06), tint(colours[-1], 0.55))
    order = np.arange(count, 0, -1)
    share = np.sqrt(order / count)
    angles = order * GOLDEN_ANGLE
    florets = [radius * share * np.cos(angles), radius * share * np.sin(angles)]
    florets = pose.project(np.stack([*florets, height * (1 - share**2)], axis=-1))
    dot = max(1.0, 1.15 * pose.radius * radius / np.sqrt(count))
    tones = pose.shade(angles) * rng.normal(1, 0.14, count)
    columns = (florets.tolist(), share.tolist(), tones.tolist())
    for (x, y), where, tone in zip(*columns, strict=True):
        near = where * (len(colours) - 1)
        low = min(int(near), len(colours) - 2)
        colour = mix(colours[low], colours[low + 1], near - low)
        draw.ellipse((x - dot, y - dot, x + dot, y + dot), fill=tint(colour, tone))


def cup_petal(
    draw: ImageDraw,
    pose: Pose,
    rng: Rng,
    lean: float,
    wide: float,
    tall: float,
    colour: Sequence[float],
    edge: Sequence[float],
    shade: float,
    aside: float,
) -> None:
    """One petal of a tulip seen from the side, standing on (0, 0.9), leaning by ``lean`` radians
    and pushed ``aside``; y points down the picture."""
    share = np.linspace(0, 1, len(CUP))
    share, half = np.append(share, share[::-1]), np.append(CUP, [-w for w in CUP[::-1]]) * wide
    bulge = aside * np.sin(np.pi * np.minimum(1, share * 1.2))
    cos, sin = np.cos(lean), np.sin(lean)
    flat = replace(pose, tilt=0.0)
    for grow, paint in ((1.0, edge), (0.82, colour), (0.45, mix(colour, edge, 0.25))):
        x, y = bulge + half * grow, -tall * share * (0.6 + 0.4 * grow)
        points = np.stack([x * cos - y * sin, x * sin + y * cos + 0.9, 0 * x], axis=-1)
        tone = shade * (1 if grow == 1 else rng.normal(0.97, 0.04))
        rim = tint(paint, tone * 0.7) if grow == 1 else None
        polygon(draw, flat.project(points), tint(paint, tone), rim)
