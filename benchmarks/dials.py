"""How soon the lessons' dials answer: python3 course.py bench dials [LESSON…]

Turns every control of every dial in a real JupyterLab, offline, on the lessons' own parameters, and
measures inside the page from the key to the new picture, decoded and laid out in the next frame. A
dial that trains live is marked: of a run the first picture counts. Writes
data/results/dial_latency.json. Needs Chromium and Playwright.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/browser")]

from lesson_lab import SMALL, Control, first_line, is_live, lab, turn_dial
from notebook_page import Tab

from benchmarks._machine import machine
from course_utils.datasets.photos import find_photos
from tools.builder.build import choose
from tools.builder.lesson import LessonError
from tools.lab.lab_browser import chromium, jupyterlab

RESULTS = ROOT / "data" / "results" / "dial_latency.json"
MADE_BY = "python3 course.py bench dials"
PACKAGES = ("torch", "matplotlib", "ipywidgets", "jupyterlab")


def summary(milliseconds: list[float]) -> dict[str, float]:
    """How many moves, their median and their 95th percentile in milliseconds."""
    told = {"moves": len(milliseconds)}
    if milliseconds:
        twice = milliseconds * 2 if len(milliseconds) == 1 else milliseconds
        told["p50_ms"] = round(statistics.median(milliseconds), 1)
        told["p95_ms"] = round(statistics.quantiles(twice, n=20, method="inclusive")[-1], 1)
    return told


def row(lesson: str, cell, control: Control) -> dict:
    """What is stored of one control of the dial in a cell."""
    names = {"lesson": lesson, "dial": first_line(cell), "control": control.name}
    return {**names, "live": is_live(cell), **summary(control.milliseconds)}


def measure(lessons: list[Path], moves: int, flowers: str, parameters: dict) -> dict:
    """The machine, the summary over all moves and without live dials, and one row a control."""
    rows, every, quick = [], [], []
    with tempfile.TemporaryDirectory() as served, chromium() as browser:
        here = machine(MADE_BY, *PACKAGES, device="cpu", flowers=flowers, chromium=browser.version)
        with jupyterlab(Path(served)) as address:
            tab = Tab(browser, address, Path(served))
            for lesson in lessons:
                with lab(tab, lesson, parameters, flowers) as (page, dials, _):
                    for cell, area in dials:
                        for control in turn_dial(page, area, moves):
                            rows.append(row(lesson.stem, cell, control))
                            every += control.milliseconds
                            quick += [] if is_live(cell) else control.milliseconds
                            print(rows[-1], flush=True)
    here["parameters"] = parameters  # where they are not the lesson's own
    return {**here, "all": summary(every), "without_live": summary(quick), "controls": rows}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", help="numbers, such as 06; all where none is given")
    parser.add_argument("--moves", type=int, default=20, help="of each control")
    parser.add_argument("--small", action="store_true", help="few photos, one epoch, three seeds")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    try:
        lessons = choose(options.lessons, ROOT / "lessons")
    except LessonError as error:
        parser.error(str(error))
    flowers = "photos" if find_photos() else "rendered"
    result = measure(lessons, options.moves, flowers, SMALL if options.small else {})
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
