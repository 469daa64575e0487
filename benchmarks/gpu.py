"""What a GPU makes of the course: python3 course.py bench gpu

Images a second of MobileNetV2 for embedding, for a head on the frozen backbone and for full
fine-tuning; the share of a fine-tuning step that is not compute; the precision in
use. Into data/results/gpu.json. Without a GPU it says so and exits with 3; `--device cpu` runs it
all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision.models import mobilenet_v2

from benchmarks._machine import machine
from course_utils.device import autocast, best_layout, grad_scaler, pick_device, precision
from course_utils.features import embed
from course_utils.images import ImageSet
from course_utils.measure import stopwatch
from course_utils.surgery import freeze_backbone, replace_head
from course_utils.training import fit

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results" / "gpu.json"
NO_GPU = 3


def network(device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    model = mobilenet_v2()
    replace_head(model, 5)
    return model.to(device)


def train(model: nn.Module, data: ImageSet, batch_size: int, epochs: int) -> float:
    """Seconds an epoch; the first one warms up and is not counted."""
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), fused=True)
    history = fit(model, data, None, epochs=epochs + 1, optimizer=optimizer, batch_size=batch_size)
    return sum(history.seconds[1:]) / epochs


def compute_only(model: nn.Module, data: ImageSet, batch_size: int) -> float:
    """Seconds of an epoch's passes and updates on one batch that is on the device already."""
    device = best_layout(model)
    inputs, labels = data.batch(range(batch_size), device=device)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    mixed, scaler = autocast(device), grad_scaler(device)
    for warm in (True, False):
        with stopwatch(device) as watch:
            for _ in range(1 if warm else len(data) // batch_size):
                with mixed:
                    loss = nn.functional.cross_entropy(model.train()(inputs), labels)
                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
    return watch.seconds


def measure(device: torch.device, n: int, side: int, batch_size: int, epochs: int) -> dict:
    pixels = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8)
    data, found = ImageSet(pixels, torch.arange(n) % 5, tuple("abcde")), {}
    for place in dict.fromkeys(["cpu", device.type]):  # where the pixels are
        there = data if place == "cpu" else data.to(device)
        model = network(device)
        embed(model, there[:batch_size], batch_size=batch_size)  # warm
        with stopwatch(device) as watch:
            embed(model, there, batch_size=batch_size)
        full = train(model, there, batch_size, epochs)
        compute = compute_only(model, there, batch_size)
        freeze_backbone(model)
        found[f"pixels on {place}"] = {
            "embed_images_a_second": round(n / watch.seconds),
            "head_images_a_second": round(n / train(model, there, batch_size, epochs)),
            "full_images_a_second": round(n / full),
            "share_not_compute": round(max(0.0, 1 - compute / full), 3),
        }
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="cuda, cuda:1, mps, or cpu for a trial")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    device = pick_device(options.device)
    if device.type == "cpu" and options.device != "cpu":
        print("There is no GPU here, so there is nothing to measure; --device cpu is a trial run.")
        return NO_GPU
    settings = options.images, options.side, options.batch_size, options.epochs
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    result = {
        **machine("python3 course.py bench gpu", "torch", "torchvision", device=str(device)),
        "card": kind,
        "precision": str(precision(device)).removeprefix("torch."),
        "images": options.images,
        "side": options.side,
        "batch_size": options.batch_size,
        **measure(device, *settings),
    }
    print(json.dumps(result, indent=2))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
