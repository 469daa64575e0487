"""What a stepper costs: python3 course.py bench stepper

Records a training step of twenty lines on the course's networks, and runs it plainly beside that,
in turns. Writes bytes and seconds into data/results/stepper.json.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import get_model

from benchmarks._machine import machine
from course_utils.surgery import find_head, replace_head
from courseware.stepper.record import Recording, record
from courseware.stepper.static import static_html
from courseware.stepper.widget import payload

RESULTS = ROOT / "data" / "results" / "stepper.json"
NETWORKS = ("mobilenet_v2", "resnet18")


# Lines to step through: one training step
def training_step(model, images, labels):  # a network for a thousand classes, eight images
    model.requires_grad_(False)  # no tensor may learn
    frozen = sum(not p.requires_grad for p in model.parameters())
    print(f"{frozen} tensors are frozen")
    replace_head(model, 5)  # a new head, born trainable
    head = find_head(model).module
    learning = [p for p in model.parameters() if p.requires_grad]
    print(f"{len(learning)} tensors learn")
    optimizer = torch.optim.Adam(learning, lr=1e-3)  # it knows these alone
    model.train()  # a switch in every module
    scores = model(images)  # forward; BatchNorm moves
    loss = F.cross_entropy(scores, labels)
    optimizer.zero_grad()
    loss.backward()  # gradients for the head
    optimizer.step()  # the head moves
    model.eval()
    with torch.no_grad():
        after = F.cross_entropy(model(images), labels)
    print(f"loss {loss.item():.3f} → {after.item():.3f}")
    return head.weight.grad.norm()


def inputs(name: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """The network, and a batch as in the lessons; the same each time."""
    torch.manual_seed(0)
    return get_model(name), torch.randn(8, 3, 128, 128), torch.arange(8) % 5


def seconds(work) -> tuple[float, float]:
    """How long one call takes: by the clock, and of the processor's time."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


def _minus(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return a[0] - b[0], a[1] - b[1]


def _record(given: tuple) -> Recording:
    return record(training_step, *given, seconds=60)


def measure(name: str, rounds: int) -> dict:
    """Medians over ``rounds``, each of which runs both ways, and the bytes of the recording."""
    plain, recorded = [], []
    _record(inputs(name))  # the first run pays for what is loaded and set up once
    for _ in range(rounds):
        once, again = inputs(name), inputs(name)
        with redirect_stdout(io.StringIO()):
            plain.append(seconds(lambda once=once: training_step(*once)))
        recorded.append(seconds(lambda again=again: _record(again)))
    recording = _record(inputs(name))
    if recording.ended != "returned":
        raise RuntimeError(f"{name}: {recording.message}")
    overheads = list(
        zip(*(_minus(*pair) for pair in zip(recorded, plain, strict=True)), strict=True)
    )
    return {
        "lines": len(recording.source.code),
        "steps": len(recording.steps),
        "recording_bytes": len(json.dumps(recording.to_json())),
        "widget_bytes": len(json.dumps(payload(recording))),
        "table_bytes": len(static_html(recording).encode()),
        "plain_seconds": round(statistics.median(clock for clock, _ in plain), 3),
        "overhead_seconds": round(statistics.median(overheads[0]), 3),
        "largest_overhead_seconds": round(max(overheads[0]), 3),
        "overhead_processor_seconds": round(statistics.median(overheads[1]), 3),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    here = machine("python3 course.py bench stepper", "torch", "torchvision", threads=threads)
    result = here | {"device": "cpu", "rounds": options.rounds}
    for name in NETWORKS:
        result[name] = measure(name, options.rounds)
        print(f"{name:12} {result[name]}", flush=True)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
