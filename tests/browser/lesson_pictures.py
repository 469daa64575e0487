"""Pictures of the lessons' dials and steppers: python tests/browser/lesson_pictures.py FOLDER [06]

Every dial at two settings, every stepper at its first, middle and last step; light and dark, 1300
and 700 px. On the photos where COURSE_DATA_DIR leads to them: then the pictures are not to be
published. Look at them.
"""

# ruff: noqa: E402  The checkout goes onto the path before anything is imported from it.

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

from lesson_lab import SMALL, first_line, lab, show_step, step_through, turn_dial
from notebook_page import THEMES, Tab, set_theme

from course_utils.datasets.photos import find_photos
from tools.builder.build import choose
from tools.lab.lab_browser import chromium, jupyterlab

WIDTHS = (1300, 700)
MOVES = 2  # of each control, from the first setting to the second


def take(page, area, name: Path) -> None:
    """One picture a theme and width, named after them."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 1400})
        for theme in THEMES:
            set_theme(page, theme)
            area.scroll_into_view_if_needed()
            page.wait_for_timeout(300)
            area.screenshot(path=f"{name}-{theme}-{width}.png")


def photograph(page, dials: list, steppers: list, name: Path) -> None:
    """All pictures of a lesson that has run; their names start with ``name``."""
    for number, (cell, area) in enumerate(dials, start=1):
        print(f"{name.name}-dial{number}: {first_line(cell)}", flush=True)
        take(page, area, Path(f"{name}-dial{number}-a"))
        turn_dial(page, area, MOVES)
        page.wait_for_timeout(3000)  # a live run goes on
        take(page, area, Path(f"{name}-dial{number}-b"))
    for number, (cell, area) in enumerate(steppers, start=1):
        print(f"{name.name}-stepper{number}: {first_line(cell)}", flush=True)
        last = len(step_through(area)) - 1
        for place in (0, last // 2, last):
            show_step(area, place)
            take(page, area, Path(f"{name}-stepper{number}-{place + 1:02d}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("lessons", nargs="*", help="numbers, such as 06; all where none is given")
    parser.add_argument("--small", action="store_true", help="few photos, one epoch, three seeds")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    flowers = "photos" if find_photos() else "rendered"
    with tempfile.TemporaryDirectory() as served, chromium() as browser:
        with jupyterlab(Path(served)) as address:
            tab = Tab(browser, address, Path(served))
            for lesson in choose(options.lessons, ROOT / "lessons"):
                parameters = SMALL if options.small else {}
                with lab(tab, lesson, parameters, flowers) as (page, dials, steppers):
                    photograph(page, dials, steppers, options.folder / lesson.stem[:2])
    print(f"Now look at the pictures in {options.folder}")


if __name__ == "__main__":
    main()
