"""Ways to use a pretrained backbone, compared fairly: equal steps, tuned rates, paired seeds.

A strategy is a start and a plan of which layer learns when. ``stacked`` trains all seeds at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils.stats import Interval, mean_difference, mean_interval, winner
from course_utils.store.messages import progress
from course_utils.strategies.networks import Layers, accuracy, batch_order, new_layers, train
from course_utils.strategies.world import Samples, Task, World, source_samples, target_samples

WIDTH = 64
STEPS, BATCH = 300, 32  # the budget of every strategy
PRETRAINING = {"points": 20_000, "steps": 600, "batch": 128}
PRETRAINING_RATE = 1e-2
RATES = (3e-4, 1.5e-3, 8e-3, 4e-2)  # what every strategy may choose from
VALIDATION_POINTS = 1000


@dataclass(frozen=True)
class Strategy:
    """Where the network starts, and which layers learn when, at which share of the rate.

    Parameters
    ----------
    start : ``"pretrained"`` (backbone, new head), ``"random"`` (all new) or ``"raw"`` (a head on x
        itself and no backbone: logistic regression)
    phases : (share of the steps, (share of the rate for each layer)); a layer with 0 is frozen

    Raises
    ------
    ValueError : another start; shares of the steps that do not add up to 1; a phase where nothing
        learns, or with another number of layers than the network has (3, or 1 for ``"raw"``)
    """

    start: str
    phases: tuple[tuple[float, tuple[float, ...]], ...]

    def __post_init__(self) -> None:
        layers = {"pretrained": 3, "random": 3, "raw": 1}.get(self.start)
        if layers is None:
            raise ValueError(f"got start={self.start!r}; expected 'pretrained', 'random' or 'raw'")
        fine = abs(sum(share for share, _ in self.phases) - 1) <= 1e-6
        for share, rates in self.phases:
            fine &= share > 0 and len(rates) == layers and min(rates) >= 0 and max(rates) > 0
        if not fine:
            raise ValueError(
                f"got phases {self.phases}; expected shares of the steps above 0 that add up to 1, "
                f"each with {layers} shares of the rate, none negative and at least one above 0"
            )


ALL, HEAD = (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)
# The names are those of the real networks in ``grid``; the last of the hidden layers is the stage.
STRATEGIES = {
    "from scratch": Strategy("random", ((1.0, ALL),)),
    "head only": Strategy("pretrained", ((1.0, HEAD),)),
    "last stage": Strategy("pretrained", ((0.5, HEAD), (0.5, (0.0, 0.1, 1.0)))),
    "all": Strategy("pretrained", ((1.0, ALL),)),
    "probe, then all": Strategy("pretrained", ((0.5, HEAD), (0.5, (0.1, 0.1, 0.1)))),
}
LOGISTIC = Strategy("raw", ((1.0, (1.0,)),))


@dataclass(frozen=True)
class Backbones:
    """One network for each seed: its hidden layers, and the world they belong to."""

    world: World
    seeds: tuple[int, ...]
    layers: Layers

    def first(self, n: int) -> Backbones:
        """The networks of the first ``n`` seeds."""
        return Backbones(self.world, self.seeds[:n], [(w[:n], b[:n]) for w, b in self.layers])


@dataclass(frozen=True)
class Comparison:
    """Test accuracies [seeds] and the chosen learning rate of every strategy, on one task."""

    task: Task
    accuracy: dict[str, Tensor]
    rate: dict[str, float]

    def interval(self, name: str) -> Interval:
        """Mean accuracy of one strategy over the seeds."""
        return mean_interval(self.accuracy[name].tolist())

    def difference(self, a: str, b: str) -> Interval:
        """Accuracy of ``a`` minus that of ``b``, paired: same seed, same data, same order."""
        return mean_difference(self.accuracy[a].tolist(), self.accuracy[b].tolist())

    def winner(self) -> tuple[str, str, Interval]:
        """The best mean, the runner-up, and their paired difference: see `stats.winner`."""
        return winner({name: scores.tolist() for name, scores in self.accuracy.items()})


def untrained(world: World, seeds: Sequence[int]) -> Backbones:
    """Random backbones, trained on nothing; the naive comparison calls such ones pretrained."""
    return Backbones(world, tuple(seeds), new_layers((world.size, WIDTH, WIDTH), seeds))


def pretrain(world: World, seeds: Sequence[int]) -> Backbones:
    """Backbones trained on the source labels, each from its own start and on its own examples."""
    start = untrained(world, seeds).layers + new_layers((WIDTH, world.source_labels), seeds, "head")
    samples = source_samples(world, PRETRAINING["points"], seeds)
    order = batch_order(**PRETRAINING, seeds=seeds)
    rates = torch.full((len(seeds),), PRETRAINING_RATE)
    layers = train(start, samples, order, rates, ((1.0, ALL),))
    return Backbones(world, tuple(seeds), layers[:-1])


def starting_layers(strategy: Strategy, backbones: Backbones) -> Layers:
    """The network a strategy starts from: backbone (old, new or none) and a new one-label head."""
    world, seeds = backbones.world, backbones.seeds
    if strategy.start == "raw":
        return new_layers((world.size, 1), seeds, "head")
    body = backbones if strategy.start == "pretrained" else untrained(world, seeds)
    return body.layers + new_layers((WIDTH, 1), seeds, "head")


def tune(strategy: Strategy, task: Task, backbones: Backbones) -> float:
    """The rate of ``RATES`` with the best mean accuracy on validation points, all tried at once."""
    seeds, copies = backbones.seeds, len(RATES)
    samples, validation = target_samples(backbones.world, task, seeds, VALIDATION_POINTS)

    def repeat(*pair: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (tensor.repeat(copies, 1, 1) for tensor in pair)
        return first, second

    start = [repeat(*layer) for layer in starting_layers(strategy, backbones)]
    order = batch_order(task.points, STEPS, BATCH, seeds).repeat(copies, 1, 1)
    rates = torch.tensor(RATES).repeat_interleave(len(seeds))
    layers = train(start, Samples(*repeat(samples.x, samples.y)), order, rates, strategy.phases)
    judged = accuracy(layers, Samples(*repeat(validation.x, validation.y)))
    score = judged.view(copies, len(seeds)).mean(1)
    return RATES[int(score.argmax())]


def run_strategy(strategy: Strategy, task: Task, backbones: Backbones, rate: float) -> Tensor:
    """Test accuracy [seeds] of one strategy at one learning rate."""
    samples, test = target_samples(backbones.world, task, backbones.seeds)
    order = batch_order(task.points, STEPS, BATCH, backbones.seeds)
    start = starting_layers(strategy, backbones)
    rates = torch.full((len(backbones.seeds),), rate)
    return accuracy(train(start, samples, order, rates, strategy.phases), test)


def compare(
    task: Task,
    backbones: Backbones,
    tuning: Backbones,
    strategies: Mapping[str, Strategy] = STRATEGIES,
) -> Comparison:
    """Tune each strategy on the seeds of ``tuning``, then judge it on those of ``backbones``.

    Two strategies run at a time, each in a thread: PyTorch lets go of Python while it computes.
    They share nothing, so the figures are those of one after the other.

    Raises ValueError: they share a seed or belong to different worlds, or there is no strategy.
    """
    shared = sorted(set(backbones.seeds) & set(tuning.seeds))
    if shared or backbones.world != tuning.world or not strategies:
        raise ValueError(
            f"got {len(strategies)} strategies, shared seeds {shared}; expected at least one "
            "strategy, and tuning backbones of the same world with other seeds"
        )

    def tune_and_run(strategy: Strategy) -> tuple[float, Tensor]:
        rate = tune(strategy, task, tuning)
        return rate, run_strategy(strategy, task, backbones, rate)

    with ThreadPoolExecutor(max_workers=2) as pool:
        found = dict(zip(strategies, pool.map(tune_and_run, strategies.values()), strict=True))
    scores = {name: score for name, (_, score) in found.items()}
    return Comparison(task, scores, {name: rate for name, (rate, _) in found.items()})


def strategy_map(
    points: Sequence[int],
    relatedness: Sequence[float],
    backbones: Backbones,
    tuning: Backbones,
    *,
    label_noise: float = 0.05,
    strategies: Mapping[str, Strategy] = STRATEGIES,
) -> dict[tuple[int, float], Comparison]:
    """A comparison for every pair of sample size and relatedness, by that pair."""
    tasks = [Task(n, r, label_noise) for n in points for r in relatedness]
    return {
        (task.points, task.relatedness): compare(task, backbones, tuning, strategies)
        for task in progress(tasks, "map")
    }
