"""What the drawn flowers are made of: petals, and discs of florets.

A flower is a set of points in its own frame: x and y span the bloom (radius 1), z points out of its
face. A :class:`Bloom` turns them into pixels, so one description serves every tilt and every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from PIL.ImageDraw import ImageDraw

Rng = np.random.Generator
Colour = Sequence[float]  # red, green, blue, 0..255; an opacity after them is passed over
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))  # how seeds follow each other in a disc (Vogel, 1979)

# Half-width of a petal from its base to its tip, as a share of its greatest half-width.
RAY = (0.4, 0.6, 0.8, 0.95, 1.0, 0.95, 0.6)
POINTED = (0.5, 0.85, 1.0, 0.95, 0.75, 0.45, 0.05)
STRAP = (0.5, 0.7, 0.85, 1.0, 1.0, 1.0, 0.9)
CUP = (0.35, 0.66, 0.85, 0.96, 1.0, 0.99, 0.93, 0.82, 0.64, 0.4, 0.05)


def tint(colour: Colour, factor: float, alpha: int = 255) -> tuple[int, ...]:
    """``colour`` made darker or lighter, with opacity ``alpha``; Pillow clips it."""
    red, green, blue = colour[:3]
    return int(red * factor), int(green * factor), int(blue * factor), alpha


def mix(a: Colour, b: Colour, share: float) -> tuple[float, ...]:
    """The colour that lies ``share`` of the way from ``a`` to ``b``."""
    keep = 1 - share
    return a[0] * keep + b[0] * share, a[1] * keep + b[1] * share, a[2] * keep + b[2] * share


def points(*coordinates: ArrayLike) -> np.ndarray:
    """The positions [..., 2 or 3] with these coordinates, broadcast to one shape."""
    return np.stack(np.broadcast_arrays(*coordinates), axis=-1)


def outline(profile: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Up one side of a petal and down the other: share of its length and half-width, [2K] each."""
    half = np.asarray(profile)
    share = np.linspace(0, 1, len(half))
    return np.append(share, share[::-1]), np.append(half, -half[::-1])


def polygon(
    draw: ImageDraw, corners: np.ndarray, fill: tuple, rim: tuple[int, ...] | None = None
) -> None:
    """Fill the polygon of these pixel positions [K, 2]."""
    draw.polygon(corners.ravel().tolist(), fill=fill, outline=rim)


def dot(draw: ImageDraw, x: float, y: float, r: float, fill: tuple) -> None:
    """A filled circle of radius ``r`` pixels."""
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


@dataclass(frozen=True)
class Bloom:
    """A flower in its picture: centre (x, y) and radius in pixels; tilt (0: seen from above), roll
    and the direction of the light in radians."""

    draw: ImageDraw
    rng: Rng
    x: float
    y: float
    radius: float
    tilt: float
    roll: float
    light: float

    def project(self, frame: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the flower's frame -> pixels [..., 2], seen from far away."""
        across = frame[..., 0]
        along = frame[..., 1] * np.cos(self.tilt) - frame[..., 2] * np.sin(self.tilt)
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        x = self.x + self.radius * (across * cos - along * sin)
        return points(x, self.y + self.radius * (across * sin + along * cos))

    def shade(self, angles: np.ndarray) -> np.ndarray:
        """Brightness of petals that point at ``angles``: 1 +- 0.16, brightest towards the light."""
        return 1 + 0.16 * np.cos(angles + self.roll - self.light)

    def ring(
        self,
        profile: Sequence[float],
        count: int,
        start: float,
        length: float,
        width: float,
        colour: Colour,
        lift: tuple[float, float],
        *,
        centre: float = 0.86,
        jitter: float = 0.1,
    ) -> None:
        """Draw ``count`` petals that begin at ``start`` and are ``length`` long.

        ``lift`` is the height of base and tip: a negative tip hangs, a positive one makes a cup.
        ``centre`` is the shade of each petal's middle against its edge; ``jitter`` how much length
        and direction vary.
        """
        rng = self.rng
        turns = np.arange(count) + rng.uniform() + rng.normal(0, jitter, count)
        angles = turns * 2 * np.pi / count
        lengths = length * (1 + jitter * rng.normal(0, 0.6, count))
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]

        def petals(long: float, wide: float) -> np.ndarray:
            share, half = outline(np.asarray(profile) * (width * wide))
            reach = start + (lengths * long)[:, None] * share
            height = lift[0] + (lift[1] - lift[0]) * share**2
            return self.project(points(reach * cos - half * sin, reach * sin + half * cos, height))

        outlined = self.radius * width > 1  # pixels; a line round less would hide the petal
        wide = self.radius * width > 2.5  # below that nobody sees a petal's middle
        edges = petals(1, 1)
        middles = petals(0.8, 0.4) if wide else edges
        shades = (self.shade(angles) * rng.normal(1, 0.05, count)).tolist()
        for i in rng.permutation(count).tolist():
            # The dark outline is the shadow that keeps petals of one colour apart.
            rim = tint(colour, shades[i] * 0.62) if outlined else None
            polygon(self.draw, edges[i], tint(colour, shades[i]), rim)
            if wide:
                polygon(self.draw, middles[i], tint(colour, shades[i] * centre, 130))

    def disc(self, radius: float, height: float, colours: Sequence[Colour], count: int) -> None:
        """A dome of ``count`` florets in spirals; ``colours`` run from its middle to its rim."""
        count = min(count, 10 + int((self.radius * radius) ** 2 / 6))  # no floret below a pixel
        around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        rim = points(radius * np.cos(around), radius * np.sin(around), 0)
        polygon(self.draw, self.project(rim * 1.06), tint(colours[-1], 0.55))
        order = np.arange(count, 0, -1)
        share, angles = np.sqrt(order / count), order * GOLDEN_ANGLE
        x, y = radius * share * np.cos(angles), radius * share * np.sin(angles)
        florets = self.project(points(x, y, height * (1 - share**2))).tolist()
        size = max(1.0, 1.15 * self.radius * radius / np.sqrt(count))
        tones = (self.shade(angles) * self.rng.normal(1, 0.14, count)).tolist()
        for (x, y), where, tone in zip(florets, share.tolist(), tones, strict=True):
            near = where * (len(colours) - 1)
            low = min(int(near), len(colours) - 2)
            colour = mix(colours[low], colours[low + 1], near - low)
            dot(self.draw, x, y, size, tint(colour, tone))

    def cup_petal(
        self,
        lean: float,
        wide: float,
        tall: float,
        colour: Colour,
        edge: Colour,
        shade: float,
        aside: float,
    ) -> None:
        """One petal of a tulip seen from the side, standing on (0, 0.9), leaning by ``lean``
        radians and pushed ``aside``; y points down the picture."""
        share, half = outline(np.asarray(CUP) * wide)
        bulge = aside * np.sin(np.pi * np.minimum(1, share * 1.2))
        cos, sin = np.cos(lean), np.sin(lean)
        flat = replace(self, tilt=0.0)
        for grow, paint in ((1.0, edge), (0.82, colour), (0.45, mix(colour, edge, 0.25))):
            x, y = bulge + half * grow, -tall * share * (0.6 + 0.4 * grow)
            corners = flat.project(points(x * cos - y * sin, x * sin + y * cos + 0.9, 0))
            tone = shade * (1 if grow == 1 else self.rng.normal(0.97, 0.04))
            rim = tint(paint, tone * 0.7) if grow == 1 else None
            polygon(self.draw, corners, tint(paint, tone), rim)
