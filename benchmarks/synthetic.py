"""What the synthetic comparison costs and shows: python3 course.py bench synthetic

Writes data/results/synthetic.json: the throughput of stacked training against a DataLoader loop,
the seconds of a full comparison and of the map, and the figures that these gave. Takes about two
minutes. One thread by default: two threads on two cores of which another program uses one can be
ten times slower, in the loop and in the stack. --threads N sets another number.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain, count, islice
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks._machine import machine
from course_utils.measure import stopwatch
from course_utils.strategies.contest import (
    BATCH,
    LOGISTIC,
    STEPS,
    STRATEGIES,
    WIDTH,
    Comparison,
    compare,
    pretrain,
    run_strategy,
    strategy_map,
    untrained,
)
from course_utils.strategies.networks import batch_order, new_layers, train
from course_utils.strategies.world import Task, World, target_samples

RESULTS = ROOT / "data" / "results" / "synthetic.json"
MADE_BY = "python3 course.py bench synthetic"
SEEDS, TUNING = range(20), range(100, 104)
POINTS, RELATEDNESS = (20, 50, 150, 450, 1500), (0.0, 0.5, 0.8, 0.95, 1.0)
UNTUNED = 8e-3  # one rate for all, to see what tuning changes


def plain_network(inputs: int, width: int) -> nn.Sequential:
    """The network of one seed: two hidden layers and a head."""
    first, second, head = nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, 1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), head)


def loop_seconds(world: World, task: Task, seed: int, width: int) -> float:
    """One seed from scratch as everybody writes it: DataLoader, nn.Sequential, torch.optim.Adam."""
    samples, _ = target_samples(world, task, [seed], 1)
    with stopwatch() as watch:
        data = TensorDataset(samples.x[0], samples.y[0])
        loader = DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True)
        model = plain_network(world.size, width)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
        batches = chain.from_iterable(iter(loader) for _ in count())  # epoch after epoch
        for x, y in islice(batches, STEPS):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(x), y).backward()
            optimizer.step()
            scheduler.step()
    return watch.seconds


def stacked_seconds(world: World, task: Task, seeds: int, width: int) -> float:
    """The same training for many seeds in one stack."""
    samples, _ = target_samples(world, task, range(seeds), 1)
    with stopwatch() as watch:
        start = new_layers((world.size, width, width, 1), range(seeds))
        order = batch_order(task.points, STEPS, BATCH, range(seeds))
        rates = torch.full((seeds,), 1e-3)
        train(start, samples, order, rates, STRATEGIES["from scratch"].phases)
    return watch.seconds


def throughput(world: World, width: int) -> dict:
    """Seconds per seed of both, taken in turns so that a busy moment hits both, and their ratio."""
    task, result = Task(900), {}
    loop_seconds(world, task, 0, width), stacked_seconds(world, task, 2, width)  # warm up
    for seeds in (20, 80, 320):
        loop, stacked = [], []
        for turn in range(3):
            loop += [loop_seconds(world, task, 2 * turn + i, width) for i in range(2)]
            stacked.append(stacked_seconds(world, task, seeds, width) / seeds)
        result[str(seeds)] = {
            "loop_seconds_per_seed": round(median(loop), 5),
            "stacked_seconds_per_seed": round(median(stacked), 6),
            "ratio": round(median(loop) / median(stacked), 1),
            "ratio_of_the_fastest": round(min(loop) / min(stacked), 1),
        }
        print(width, seeds, result[str(seeds)], flush=True)
    return result


def figures(comparison: Comparison) -> dict:
    """Means, intervals, chosen rates, and the winner with its lead over the runner-up."""
    first, second, lead = comparison.winner()
    return {
        "points": comparison.task.points,
        "relatedness": comparison.task.relatedness,
        "bayes": comparison.task.bayes,
        "accuracy": {name: f"{comparison.interval(name):.3f}" for name in comparison.accuracy},
        "rate": comparison.rate,
        "winner": first,
        "runner_up": second,
        "lead": f"{lead:.4f}",
        "sure": lead.low > 0,
    }


def orders(world: World) -> dict:
    """The full comparison at 900 and 50 points: tuned, at one rate for all, and the naive one."""
    with stopwatch() as pretraining:
        backbones = pretrain(world, SEEDS)
    tuning, result = pretrain(world, TUNING), {}
    result["pretraining_seconds"] = round(pretraining.seconds, 2)
    for points in (900, 50):
        with stopwatch() as watch:
            comparison = compare(Task(points), backbones, tuning)
        naive = compare(
            Task(points),
            untrained(world, SEEDS),
            untrained(world, TUNING),
            {**STRATEGIES, "logistic regression": LOGISTIC},
        )
        untuned = {
            name: run_strategy(strategy, Task(points), backbones, UNTUNED)
            for name, strategy in STRATEGIES.items()
        }
        fixed = Comparison(Task(points), untuned, dict.fromkeys(STRATEGIES, UNTUNED))
        result[str(points)] = {
            "seconds": round(watch.seconds, 2),
            "tuned": figures(comparison),
            "one_rate_for_all": figures(fixed),
            "head_only_minus_last_stage": {
                "tuned": f"{comparison.difference('head only', 'last stage'):.4f}",
                "one rate for all": f"{fixed.difference('head only', 'last stage'):.4f}",
            },
            "naive": figures(naive),
            "naive_head_only_minus_logistic": (
                f"{naive.difference('head only', 'logistic regression'):.3f}"
            ),
        }
        print(json.dumps(result[str(points)]), flush=True)
    return result


def the_map(world: World) -> dict:
    """Who wins where, over sample size and relatedness."""
    backbones, tuning = pretrain(world, SEEDS), pretrain(world, TUNING)
    with stopwatch() as watch:
        cells = strategy_map(POINTS, RELATEDNESS, backbones, tuning)
    print(f"map {watch.seconds:.1f} s", flush=True)
    return {
        "seconds": round(watch.seconds, 1),
        "cells": [figures(comparison) for comparison in cells.values()],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    threads = torch.get_num_threads()
    result = machine(MADE_BY, "torch", device="cpu", threads=threads)
    result["world"] = str(World())
    result["throughput"] = {
        f"width {width}": throughput(World(), width) for width in (WIDTH, WIDTH // 2)
    }
    result["orders"] = orders(World())
    result["other_worlds"] = {f"seed {seed}": orders(World(seed=seed)) for seed in (1, 2)}
    result["map"] = the_map(World())
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
