"""What each lesson costs, on the photos: python3 course.py bench lessons [LESSON…]

Executes the built notebooks one after another, as a learner would who opens the course for the
first time (weights and photos at hand, nothing decoded yet), and writes data/results/
lesson_costs.json and the lesson table of README.md. --table rewrites the table alone.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

import torch

from benchmarks._machine import machine
from course_utils.datasets.photos import find_photos
from course_utils.device import pick_device
from tools.builder.build import choose, read
from tools.builder.execute import execute, kernel_env
from tools.builder.lesson import LessonError

RESULTS = ROOT / "data" / "results" / "lesson_costs.json"
MADE_BY = "python3 course.py bench lessons"
BEGIN, END = "<!-- lessons:begin -->", "<!-- lessons:end -->"
_PROBE = (
    f"import sys; sys.path.append({str(ROOT)!r}); "
    "from benchmarks._machine import peak_memory; print(peak_memory())"
)


def measure(lesson: Path, cache: str) -> dict:
    """Wall seconds from kernel start to last cell, and the kernel's peak resident bytes."""
    notebook = read(ROOT / "notebooks" / f"{lesson.stem}.ipynb")
    env = kernel_env(COURSE_FLOWERS="photos", COURSE_CACHE_DIR=cache)
    start = time.perf_counter()
    peak = execute(notebook, lesson.stem, probe=_PROBE, env=env)
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "peak_bytes": int(peak.splitlines()[-1])}


def title_and_minutes(notebook) -> tuple[str, str]:
    """From a lesson's first cell: its title without the number, and its *Time*, such as 25 min.

    Raises ValueError: there is no *Time*.
    """
    head = notebook.cells[0].source
    title = head.splitlines()[0].removeprefix("# ").split(" · ")[-1]
    minutes = re.search(r"\*Time\*\s+(\d+ min)", head)
    if not minutes:
        raise ValueError(f"{title}: no *Time* … min in the first cell")
    return title, minutes[1]


def table(costs: dict, folder: Path = ROOT / "notebooks") -> str:
    """The README's table: one row a notebook, a dash where nothing was measured."""
    rows = ["| | Lesson | To read and do | Runs in | Peak memory |", "|---|---|---|---|---|"]
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        title, minutes = title_and_minutes(read(path))
        cost = costs["lessons"].get(path.stem)
        seconds = f"{cost['seconds']:.0f} s" if cost else "–"
        memory = f"{cost['peak_bytes'] / 1e9:.1f} GB" if cost else "–"
        link = f"[{title}](notebooks/{path.name})"
        rows.append(f"| {path.stem[:2]} | {link} | {minutes} | {seconds} | {memory} |")
    return "\n".join(rows)


def write_table(readme: Path, text: str) -> None:
    """Put ``text`` between the two markers of the README.

    Raises ValueError: a marker is missing.
    """
    old = readme.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        raise ValueError(f"{readme.name} lacks {BEGIN} or {END}")
    before, rest = old.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def measure_all(names: list[str]) -> dict:
    """The named lessons measured now, the others as they were, with the machine of this run."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["lessons"] if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as cache:
        for lesson in choose(names, ROOT / "lessons"):
            kept[lesson.stem] = cost = measure(lesson, cache)
            memory = cost["peak_bytes"] / 1e9
            print(f"{lesson.stem:32} {cost['seconds']:7.1f} s  {memory:5.2f} GB", flush=True)
    print(f"{'together':32} {sum(cost['seconds'] for cost in kept.values()):7.1f} s")
    threads, device = torch.get_num_threads(), str(pick_device())
    here = machine(MADE_BY, "torch", "torchvision", threads=threads, device=device)
    return {**here, "lessons": dict(sorted(kept.items()))}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 04; all if none")
    parser.add_argument("--table", action="store_true", help="only rewrite the README's table")
    options = parser.parse_args(arguments)
    if options.table:
        costs = json.loads(RESULTS.read_text(encoding="utf-8"))
    elif find_photos() is None:
        parser.error("the photos are not here: set COURSE_DATA_DIR")
    else:
        try:
            costs = measure_all(options.lessons)
        except LessonError as error:
            print(error, file=sys.stderr)
            return 1
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(costs, indent=2) + "\n", encoding="utf-8")
    write_table(ROOT / "README.md", table(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
