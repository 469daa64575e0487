"""Lessons beside a busy program, on the photos: python3 course.py bench busy [LESSON…]

Each lesson runs three times, as a learner would run it: alone; beside one process that never
rests; and alone with the wait that PyTorch's threads have by default, which spin for a while.
Seconds from kernel start to last cell, and their ratios, go into data/results/busy.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

from benchmarks._machine import machine
from course_utils.datasets.photos import find_photos
from course_utils.store import threads
from tools.builder.build import choose, read
from tools.builder.execute import execute, kernel_env

RESULTS = ROOT / "data" / "results" / "busy.json"
# What GNU's OpenMP does where nobody chose a policy:
# https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
SPINNING = {"GOMP_SPINCOUNT": "300000"}


@contextmanager
def neighbour() -> Iterator[None]:
    """One process that keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(1)  # so that a look at the machine finds it
        yield
    finally:
        process.kill()
        process.wait()


def seconds(lesson: Path, cache: str, **variables: str) -> float:
    """One run of a built notebook, which settles its threads itself."""
    env = kernel_env(COURSE_FLOWERS="photos", COURSE_CACHE_DIR=cache, **variables)
    for name in {"OMP_NUM_THREADS", *threads.WAIT} - set(variables):
        env.pop(name, None)
    notebook = read(ROOT / "notebooks" / f"{lesson.stem}.ipynb")
    start = time.perf_counter()
    execute(notebook, lesson.stem, env=env)
    return round(time.perf_counter() - start, 1)


def measure(lesson: Path, cache: str) -> dict[str, float]:
    """Seconds of the three ways, and what they are of the lesson alone."""
    spinning = seconds(lesson, cache, **SPINNING)
    alone = seconds(lesson, cache)
    with neighbour():
        beside = seconds(lesson, cache)
    return {
        "alone": alone,
        "beside_a_busy_process": beside,
        "alone_spinning": spinning,
        "beside_over_alone": round(beside / alone, 2),
        "alone_over_spinning": round(alone / spinning, 3),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", metavar="LESSON", default=["00", "04", "05"])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if find_photos() is None:
        parser.error("the photos are not here: set COURSE_DATA_DIR")
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for lesson in choose(options.lessons, ROOT / "lessons"):
            seconds(lesson, cache)  # photos decoded, files read: no later run gains by that
            found[lesson.stem] = measure(lesson, cache)
            print(lesson.stem, found[lesson.stem], flush=True)
    result = machine("python3 course.py bench busy", "torch", device="cpu") | {"lessons": found}
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
