"""The whole test suite, stage by stage: python -m tools.check [--only STAGE]

A failed stage does not stop the next. The exit code says whether all passed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from course_utils.datasets.photos import find_photos
from course_utils.store import threads
from tools.builder.execute import TIMEOUT, kernel_env
from tools.builder.lesson import ROOT

# The stored outputs come from the photos. Where there are none, or COURSE_FLOWERS=rendered asks for
# it, the lessons run on drawn flowers: the cells that nbval compares word for word then also show
# that they do not depend on the pictures, and strict claims that they hold on those, too.
_NBVAL = ["--nbval-lax", "-p", "no:cacheprovider", f"--nbval-cell-timeout={TIMEOUT}"]
_COUNT = re.compile(r"(\d+) (failed|passed|skipped|deselected|xfailed|errors?|warnings?)\b")


@dataclass(frozen=True)
class Stage:
    """One program of the suite: its arguments to Python, and variables added for it."""

    name: str
    arguments: list[str]
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """How a stage ended: its exit code, its seconds, and the last line it printed."""

    stage: Stage
    code: int
    seconds: float
    closing: str


def stages() -> list[Stage]:
    """The suite in the order in which a mistake is found soonest."""
    notebooks = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("notebooks/*.ipynb"))
    # Two processes with one thread each do more than one with two: half of a lesson is code that
    # one thread runs. Not more than two, for a lesson takes up to 1.5 GB.
    two = ["-n", str(min(2, os.cpu_count() or 1)), "--dist"]
    alone = threads.environment(processes=2)
    flowers = os.environ.get("COURSE_FLOWERS") or ("photos" if find_photos() else "rendered")
    lessons = kernel_env(COURSE_FLOWERS=flowers) | alone
    return [
        Stage("ruff", ["-m", "ruff", "check", "."]),
        Stage("format", ["-m", "ruff", "format", "--check", "."]),
        Stage("types", ["-m", "mypy"]),
        Stage("build", ["-m", "tools.builder.build", "--check"]),
        Stage("unit", ["-m", "pytest", "tests", "-m", "not lessons", *two, "loadfile"], alone),
        Stage("nbval", ["-m", "pytest", *_NBVAL, *notebooks, *two, "loadscope"], lessons),
        Stage(
            "lessons",
            ["-m", "pytest", "tests", "-m", "lessons", "--durations=0", *two, "worksteal"],
            alone,
        ),
    ]


def run(stage: Stage) -> Result:
    """Run one stage, showing its output as it comes."""
    print(f"\n== {stage.name} ==", flush=True)
    start = time.perf_counter()
    tail = b""
    with subprocess.Popen(
        [sys.executable, *stage.arguments],
        cwd=ROOT,
        env={**os.environ, **stage.variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        while chunk := process.stdout.read1():
            sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
            tail = (tail + chunk)[-4000:]
    lines = tail.decode(errors="replace").strip().splitlines()
    code = process.wait()
    return Result(stage, code, time.perf_counter() - start, lines[-1] if lines else "")


def table(results: list[Result]) -> str:
    """One line a stage: passed or failed, seconds, how it ended."""
    rows = [f"{'stage':<9}{'result':<9}{'seconds':>8}  closing line"]
    for result in results:
        word = "FAILED" if result.code else "passed"
        row = f"{result.stage.name:<9}{word:<9}{result.seconds:>8.1f}  {result.closing[:70]}"
        rows.append(row)
    return "\n".join(rows)


def total(results: list[Result]) -> str:
    """The closing lines of all pytest stages added up, in pytest's own form.

    A stage that is no pytest run, and one that broke before it could count, is one failure if its
    exit code is not 0.
    """
    counts: Counter = Counter()
    for result in results:
        found = {word.rstrip("s"): int(n) for n, word in _COUNT.findall(result.closing)}
        if result.code and not (found.get("failed") or found.get("error")):
            found = {"failed": 1}
        counts.update(found if "pytest" in result.stage.arguments or result.code else {})
    order = ("failed", "passed", "skipped", "deselected", "xfailed", "warning", "error")
    parts = ", ".join(f"{counts[word]} {word}" for word in order if counts[word])
    return f"=== {parts or 'no tests ran'} in {sum(r.seconds for r in results):.2f}s ==="


def main(arguments: list[str] | None = None) -> int:
    known = stages()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=[stage.name for stage in known])
    options = parser.parse_args(arguments)
    results = [run(stage) for stage in known if not options.only or stage.name in options.only]
    print(f"\n{table(results)}\n\n{total(results)}", flush=True)
    return 1 if any(result.code for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
