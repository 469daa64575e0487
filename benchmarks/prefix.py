"""What the frozen-prefix cache saves: python3 course.py bench prefix

An epoch of the plain loop and of the cached one, for the last 1, 3 and 6 blocks of MobileNetV2, one
after the other in one run, into data/results/prefix_cache.json. The pixels are random (no time
depends on them), and validation is one batch, so that an epoch's seconds are those of training.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

import torch
from torch import nn
from torchvision.models import mobilenet_v2

from benchmarks._machine import machine
from course_utils.images import ImageSet
from course_utils.measure import stopwatch
from course_utils.prefix import PrefixSet, cache_prefix
from course_utils.surgery import replace_head, stages, unfreeze_from
from course_utils.training import fit

RESULTS = ROOT / "data" / "results" / "prefix_cache.json"
BLOCKS = (1, 3, 6)


def pixels(n: int, side: int) -> ImageSet:
    """``n`` images of noise in five classes."""
    images = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8)
    return ImageSet(images, torch.arange(n) % 5, tuple("abcde"))


def network(blocks: int) -> nn.Module:
    """MobileNetV2 for five classes, its last ``blocks`` stages and the head trainable."""
    model = mobilenet_v2(weights=None)
    replace_head(model, 5)
    unfreeze_from(model, list(stages(model))[-blocks])
    return model


def train(model: nn.Module, parts, batch_size: int, epochs: int) -> list[float]:
    """Seconds of each epoch; ``parts`` are what `fit` gets: a module and two sets."""
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-4)
    history = fit(
        *parts, optimizer=optimizer, epochs=epochs, batch_size=batch_size, restore_best=False
    )
    return history.seconds


def compare(blocks: int, data: ImageSet, val: ImageSet, batch_size: int, epochs: int) -> dict:
    """Both loops from the same weights: seconds an epoch (medians), their ratio, the cost of the
    cache, and the largest difference between the two trained networks (0.0: the same bits)."""
    plain = network(blocks)
    cached = copy.deepcopy(plain)
    slow = train(plain, (plain, data, val), batch_size, epochs)
    with stopwatch() as watch:
        parts = cache_prefix(cached, data, val, batch_size=batch_size)
    if not isinstance(parts.train, PrefixSet):
        raise RuntimeError("nothing was cached, so there is nothing to compare: see the notice")
    fast = train(cached, parts, batch_size, epochs)
    other = cached.state_dict()
    return {
        "plain_seconds": round(statistics.median(slow), 3),
        "cached_seconds": round(statistics.median(fast), 3),
        "ratio": round(statistics.median(slow) / statistics.median(fast), 2),
        "fill_seconds": round(watch.seconds, 3),
        "cache_mb": round(sum(kept.megabytes for kept in parts[1:]), 1),
        "max_abs_difference": max(
            (value - other[name]).abs().max().item() for name, value in plain.state_dict().items()
        ),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    data, val = pixels(options.images, options.side), pixels(options.batch_size, options.side)
    found = {}
    for blocks in BLOCKS:
        found[str(blocks)] = row = compare(blocks, data, val, options.batch_size, options.epochs)
        print(f"{blocks} blocks: {row}", flush=True)
    settings = {key: value for key, value in vars(options).items() if key != "output"}
    here = machine("python3 course.py bench prefix", "torch", threads=torch.get_num_threads())
    result = {**here, "model": "mobilenet_v2", **settings, "trainable_blocks": found}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
