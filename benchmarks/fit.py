"""What the course's comfort costs: python3 course.py bench fit

Two ratios. `fit` on cached features against the loop written out by hand, from the same start, in
turns and with one thread; and the import of all that a lesson imports against that of torch and
torchvision, in fresh processes in turns. The medians go into data/results/fit.json. Ratios of one
run compare where seconds of a busy machine do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks._machine import machine
from course_utils.features import FeatureSet
from course_utils.training import fit

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results" / "fit.json"
# Every course module that the lessons' setup cells import.
LESSON = (
    "import course_utils.datasets, course_utils.features, course_utils.training, "
    "course_utils.plots, course_utils.stats, course_utils.weights, courseware.claims"
)


def features(n: int, seed: int) -> FeatureSet:
    """``n`` random vectors as wide as MobileNetV2's, five classes."""
    generator = torch.Generator().manual_seed(seed)
    return FeatureSet(
        torch.randn(n, 1280, generator=generator), torch.arange(n) % 5, tuple("abcde")
    )


def by_hand(head: nn.Module, train: FeatureSet, val: FeatureSet, epochs: int) -> None:
    """The loop of most tutorials: loss and accuracy of both sets, every epoch."""
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        head.train()
        total, right = 0.0, 0
        for index in torch.randperm(len(train), generator=generator).split(32):
            inputs, labels = train.features[index], train.labels[index]
            logits = head(inputs)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            right += (logits.argmax(dim=1) == labels).sum().item()
        head.eval()
        with torch.no_grad():
            parts = [head(part) for part in val.features.split(32)]
            F.cross_entropy(torch.cat(parts), val.labels).item()


def with_fit(head: nn.Module, train: FeatureSet, val: FeatureSet, epochs: int) -> None:
    fit(head, train, val, epochs=epochs, optimizer=torch.optim.Adam(head.parameters(), lr=1e-3))


def seconds(work, *arguments) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def in_turns(first, second, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of both, one after the other in each round: what disturbs one disturbs both."""
    times = [], []
    for _ in range(rounds):
        for work, into in zip((first, second), times, strict=True):
            into.append(work())
    return times


def imports(code: str) -> float:
    return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def fresh(work, train, val, epochs: int) -> float:
    torch.manual_seed(0)
    return seconds(work, nn.Linear(1280, 5), train, val, epochs)


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median of the rounds' ratios."""
    return round(statistics.median(a / b for a, b in zip(numerator, denominator, strict=True)), 3)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    train, val = features(500, 0), features(200, 1)
    fresh(with_fit, train, val, 2), fresh(by_hand, train, val, 2)  # warm
    ours, plain = in_turns(
        lambda: fresh(with_fit, train, val, options.epochs),
        lambda: fresh(by_hand, train, val, options.epochs),
        options.rounds,
    )
    lesson, torch_alone = in_turns(
        lambda: imports(LESSON), lambda: imports("import torch, torchvision"), options.rounds
    )
    result = {
        **machine("python3 course.py bench fit", "torch", threads=1, device="cpu"),
        "rounds": options.rounds,
        "epochs": options.epochs,
        "fit_over_hand_written": ratio(ours, plain),
        "import_over_torch": ratio(lesson, torch_alone),
        "fit_ms_an_epoch": round(1000 * statistics.median(ours) / options.epochs, 2),
        "import_seconds": round(statistics.median(lesson), 2),
    }
    print(json.dumps(result, indent=2))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
