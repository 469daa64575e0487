"""Pictures of the quiz in every state, both themes, two widths: python tests/browser/screenshots.py

Writes one picture a quiz into runs/screenshots/quiz/, and sheets of each type. Look at them.
"""

# ruff: noqa: E402  The checkout goes onto the path before anything is imported from it.

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

from notebook_page import THEMES, Tab, set_theme
from PIL import Image
from states import NAMES, SETS, all_states, bring_about, pictures

from tools.lab.lab_browser import chromium, jupyterlab

OUT = ROOT / "runs" / "screenshots" / "quiz"
WIDTHS = (1300, 700)


def sheets(folder: Path) -> None:
    """Put the pictures of a type, theme and width onto one, three in a row; so, too, the sets."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.png"), key=lambda path: NAMES.index(_name(path))):
        kind = "sets" if _name(path) in SETS else _name(path).split("-")[0]
        groups.setdefault(f"{kind}-{path.stem.removesuffix(_name(path))[:-1]}", []).append(path)
    (folder / "sheets").mkdir()
    for group, paths in groups.items():
        rows = [[Image.open(path) for path in paths[n : n + 3]] for n in range(0, len(paths), 3)]
        heights = [max(part.height for part in row) + 10 for row in rows]
        wide = max(part.width for row in rows for part in row) + 10
        sheet = Image.new("RGB", (3 * wide, sum(heights)), "#222" if "dark" in group else "#ddd")
        for number, row in enumerate(rows):
            for place, part in enumerate(row):
                sheet.paste(part, (place * wide, sum(heights[:number])))
        sheet.save(folder / "sheets" / f"{group}.png")


def _name(path: Path) -> str:
    return path.stem.split("-", 2)[2]


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as served, chromium() as browser:
        with jupyterlab(Path(served)) as address:
            with all_states(Tab(browser, address, Path(served)), "states") as page:
                bring_about(page)
                for theme in THEMES:
                    set_theme(page, theme)
                    for width in WIDTHS:
                        page.set_viewport_size({"width": width, "height": 1600})
                        page.wait_for_timeout(500)
                        pictures(page, OUT, f"{theme}-{width}")
    sheets(OUT)
    print(f"Now look at the pictures in {OUT.relative_to(ROOT)}, or at its sheets")


if __name__ == "__main__":
    main()
