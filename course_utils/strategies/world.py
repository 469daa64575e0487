"""A world where everything is known: factors, a rendering with an exact inverse, related labels.

A source task and a target are related when their labels hang on the same hidden factors. Here the
factors are drawn first, so the relation is a dial and the best possible accuracy a formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TEST_POINTS = 2000
PURPOSES = ("source", "target", "flips", "network", "head", "order")


@dataclass(frozen=True)
class World:
    """Hidden factors z ~ N(0, I) and the fixed map that renders them into observations x.

    The first ``source`` factors decide the source labels. The next ``other`` factors decide what no
    source label tells. The last ``nuisance`` factors decide no label at all, yet shape every x.
    ``warp`` is the strength of the rendering's folds (0: a rotation). ``seed`` draws the map.

    The defaults were chosen by one measure, that a second of pretraining gives features in which
    the source factors can be read (a probe on noise-free labels gets 98 %). With more factors or
    stronger folds it gets less, and every strategy stays farther from the Bayes accuracy.

    Raises
    ------
    ValueError : no source or other factor, an odd number of factors, no source label, a negative
        or infinite warp
    """

    source: int = 2
    other: int = 2
    nuisance: int = 2
    source_labels: int = 12
    warp: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.source, self.other, self.source_labels) < 1 or self.nuisance < 0:
            raise ValueError(f"got {self}; expected at least one source and other factor and label")
        if self.size % 2:
            raise ValueError(f"got {self.size} factors; expected an even number: change nuisance")
        if not (math.isfinite(self.warp) and self.warp >= 0):
            raise ValueError(f"got warp={self.warp}; expected a finite number, 0 or more")

    @property
    def size(self) -> int:
        """Number of factors, which is also the number of values in one observation."""
        return self.source + self.other + self.nuisance

    def _maps(self) -> list[Tensor]:
        """Four rotations: two of the full size around the shears, two of half the size in them."""
        generator = torch.Generator().manual_seed(self.seed)
        half = self.size // 2
        sizes = (self.size, half, half, self.size)
        return [torch.linalg.qr(torch.randn(n, n, generator=generator))[0] for n in sizes]

    def render(self, factors: Tensor) -> Tensor:
        """Observations [..., size] of ``factors`` [..., size].

        Two shears (each half of the vector is shifted by folds of the other half) between two
        rotations: additive coupling, as in Dinh, Krueger & Bengio, "NICE" (2014).
        """
        before, first, second, after = self._maps()
        a, b = (factors @ before).chunk(2, dim=-1)
        b = b + self._folds(a @ first)
        a = a + self._folds(b @ second)
        return torch.cat([a, b], dim=-1) @ after

    def factors(self, observations: Tensor) -> Tensor:
        """The exact inverse of ``render``: x hides nothing, it is only hard to read."""
        before, first, second, after = self._maps()
        a, b = (observations @ after.T).chunk(2, dim=-1)
        a = a - self._folds(b @ second)
        b = b - self._folds(a @ first)
        return torch.cat([a, b], dim=-1) @ before.T

    def _folds(self, values: Tensor) -> Tensor:
        # |v| has no linear trace of v, so no linear rule on x can take the folds out again. Its
        # mean under N(0, 1) is taken off.
        return self.warp * (values.abs() - math.sqrt(2 / math.pi))


@dataclass(frozen=True)
class Task:
    """A target task: ``points`` labelled examples, one binary label.

    The label is the sign of ``relatedness`` · (a direction in the source factors) +
    sqrt(1 - relatedness²) · (a direction in the other factors), flipped with probability
    ``label_noise``. The score is N(0, 1) at every relatedness, so the dial changes what the source
    labels tell about the target and nothing else.

    Raises
    ------
    ValueError : points < 2, relatedness outside [0, 1], label_noise outside [0, 0.5)
    """

    points: int = 900
    relatedness: float = 1.0
    label_noise: float = 0.05

    def __post_init__(self) -> None:
        if int(self.points) != self.points or self.points < 2:
            raise ValueError(f"got points={self.points}; expected a whole number, 2 or more")
        if not 0 <= self.relatedness <= 1:
            raise ValueError(f"got relatedness={self.relatedness}; expected a number from 0 to 1")
        if not 0 <= self.label_noise < 0.5:  # at 0.5 labels are coin flips
            raise ValueError(f"got label_noise={self.label_noise}; expected from 0 to below 0.5")

    @property
    def bayes(self) -> float:
        """The best accuracy any rule can have: 1 - label_noise, exactly.

        x determines the factors (``World.factors``), the factors determine the label before the
        flip, and nobody can guess a flip.
        """
        return 1 - self.label_noise

    @property
    def source_ceiling(self) -> float:
        """The best accuracy of a rule that sees the source factors alone, 0.5 at relatedness 0.

        Before the flips two N(0, 1) scores of correlation r agree in sign with probability
        1/2 + arcsin(r) / pi (Sheppard 1899).
        """
        agree = 0.5 + math.asin(self.relatedness) / math.pi
        return self.label_noise + (1 - 2 * self.label_noise) * agree


@dataclass(frozen=True)
class Samples:
    """Examples of several seeds, float32: x [seeds, n, size], y [seeds, n, labels] of 0 and 1."""

    x: Tensor
    y: Tensor


def source_samples(world: World, points: int, seeds: Sequence[int]) -> Samples:
    """What the backbones are pretrained on: ``points`` examples a seed, without label noise.

    Every label is the sign of the source factors along one direction; the directions belong to the
    world, the examples to the seed.

    Raises ValueError: no seeds, or fewer than one point.
    """
    if points < 1 or not len(seeds):
        raise ValueError(f"got {points} points, {len(seeds)} seeds; expected at least one of each")
    maker = torch.Generator().manual_seed(world.seed + 1)
    directions = torch.randn(world.source, world.source_labels, generator=maker)
    z = torch.stack([_normal(points, world.size, stream("source", s)) for s in seeds])
    y = (z[..., : world.source] @ directions > 0).float()
    return Samples(world.render(z), y)


def target_samples(
    world: World, task: Task, seeds: Sequence[int], test_points: int = TEST_POINTS
) -> tuple[Samples, Samples]:
    """Training and test examples of a target task, one independent draw a seed (labels = 1).

    Each seed has its own directions, training and test points. The test points, and the first
    n of the training points, stay the same when only ``task.points`` changes.

    Raises ValueError: no seeds, or fewer than one test point.
    """
    if test_points < 1 or not len(seeds):
        raise ValueError(f"got {test_points} test points, {len(seeds)} seeds; expected 1 or more")
    factors, labels = [], []
    total = test_points + task.points
    for seed in seeds:
        generator = stream("target", seed)
        related = _unit(world.source, generator) * task.relatedness
        unrelated = _unit(world.other, generator) * math.sqrt(1 - task.relatedness**2)
        z = _normal(total, world.size, generator)
        label = z[:, : world.source + world.other] @ torch.cat([related, unrelated]) > 0
        flips = torch.rand(total, generator=stream("flips", seed)) < task.label_noise
        factors.append(z)
        labels.append((label ^ flips).float().unsqueeze(-1))
    x, y = world.render(torch.stack(factors)), torch.stack(labels)
    training, test = slice(test_points, None), slice(test_points)
    return Samples(x[:, training], y[:, training]), Samples(x[:, test], y[:, test])


def stream(purpose: str, seed: int) -> torch.Generator:
    """A generator of its own for each purpose and seed, so that one draw never shifts another.

    Raises ValueError: an unknown purpose, or a seed that is not a whole number, 0 or more.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"got purpose {purpose!r}; expected one of {', '.join(PURPOSES)}")
    if int(seed) != seed or seed < 0:
        raise ValueError(f"got seed {seed}; expected a whole number, 0 or more")
    return torch.Generator().manual_seed(10 * int(seed) + PURPOSES.index(purpose))


def _normal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    # torch.randn fills blocks of 16 numbers and treats a rest differently: whole blocks keep the
    # first rows of a long draw equal to those of a short one.
    whole = -(-rows // 16) * 16
    return torch.randn(whole, columns, generator=generator)[:rows]


def _unit(size: int, generator: torch.Generator) -> Tensor:
    direction = torch.randn(size, generator=generator)
    return direction / direction.norm()
