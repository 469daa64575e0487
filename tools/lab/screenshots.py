"""Look at notebooks as a learner sees them: python -m tools.lab.screenshots NOTEBOOK… [--run]

Opens copies in a real JupyterLab, without a network, in both themes and two widths; writes each
as a row of pictures into runs/screenshots/ and lists what does not fit. Needs Chromium and
`pip install playwright`.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tools.builder.lesson import ROOT
from tools.lab.lab_browser import THEMES, chromium, jupyterlab, open_notebook

WIDTHS = (1300, 700)
HEIGHT = 1600  # pixels, of one picture
STEP = 1400  # the pictures overlap a little: nothing is cut in all of them
PICTURE = re.compile(rf"({'|'.join(THEMES)})-\d+-\d+\.png")  # theme, width, number
SCROLLER = ".jp-WindowedPanel-outer"
# What sticks out of its cell, or is cut by a box that hides the rest. Code is listed apart: at 700
# px JupyterLab scrolls long lines, and that is no fault of the lesson's.
FIND_MISFITS = """() => {
  const found = [];
  const note = (cell, kind, element, need, room) => found.push(
    `cell ${cell}: ${kind} needs ${need} px, has ${room}: ` +
    (element.innerText || element.tagName).trim().replace(/\\s+/g, " ").slice(0, 60));
  document.querySelectorAll(".jp-Notebook .jp-Cell").forEach((cell, number) => {
    cell.querySelectorAll(".cm-scroller").forEach(code => {
      if (code.scrollWidth > code.clientWidth + 1)
        note(number, "code", code, code.scrollWidth, code.clientWidth);
    });
    const failed = cell.querySelector('[data-mime-type$="stderr"], [data-mime-type$="error"]');
    if (failed) found.push(`cell ${number}: ${failed.innerText.trim().split("\\n").pop()}`);
    cell.querySelectorAll(".jp-OutputArea-output, .jp-RenderedMarkdown").forEach(box => {
      if (box.closest(".jp-mod-hidden") || !box.clientWidth) return;
      const right = box.getBoundingClientRect().right;
      if (box.scrollWidth > box.clientWidth + 1)
        note(number, "output", box, box.scrollWidth, box.clientWidth);
      box.querySelectorAll("*").forEach(inner => {
        const style = getComputedStyle(inner), edge = inner.getBoundingClientRect().right;
        const cut = ["hidden", "clip"].includes(style.overflowX) && inner.innerText;
        if (cut && inner.scrollWidth > inner.clientWidth + 1 && inner.clientWidth > 1)
          note(number, "cut text", inner, inner.scrollWidth, inner.clientWidth);
        else if (["TABLE", "IMG", "PRE"].includes(inner.tagName) && edge > right + 1)
          note(number, inner.tagName.toLowerCase(), inner, Math.round(edge), Math.round(right));
      });
    });
  });
  return found;
}"""


def take_pictures(page, folder: Path, prefix: str) -> int:
    """Scroll through the notebook, one picture a screen; how many were taken."""
    panel = page.locator(SCROLLER).first
    seen = panel.evaluate("element => element.clientHeight")
    # Not scrollHeight: below the last cell JupyterLab leaves a screen of empty space.
    total = panel.evaluate("""element => {
        const cells = element.querySelectorAll(".jp-Cell");
        const last = cells[cells.length - 1].getBoundingClientRect();
        return last.bottom - element.getBoundingClientRect().top + element.scrollTop;
    }""")
    count = 1 + max(0, math.ceil((total - seen) / STEP))
    for number in range(count):
        panel.evaluate("(element, top) => element.scrollTo(0, top)", number * STEP)
        page.wait_for_timeout(250)
        panel.screenshot(path=folder / f"{prefix}-{number:02d}.png")
    return count


def fresh_folder(folder: Path) -> Path:
    """``folder`` without the pictures of an earlier look; what else lies there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in folder.iterdir():
        if PICTURE.fullmatch(picture.name):
            picture.unlink()
    return folder


def shoot(notebook: Path, out: Path, themes, widths, *, run: bool) -> list[str]:
    """Photograph one notebook in every theme and width; what does not fit, and what went wrong."""
    folder, problems = fresh_folder(out / notebook.stem), []
    with tempfile.TemporaryDirectory() as copies, chromium() as browser:
        shutil.copy(notebook, copies)
        for theme in themes:
            with jupyterlab(Path(copies), theme) as address:
                for width in widths:
                    shot = f"{theme}-{width}"
                    page, errors = open_notebook(
                        browser, address, notebook.name, width, run=run, height=HEIGHT + 100
                    )
                    count = take_pictures(page, folder, shot)
                    found = [*page.evaluate(FIND_MISFITS), *errors]
                    problems += [f"{notebook.stem} {shot}: {problem}" for problem in found]
                    # The next page must start a kernel of its own.
                    page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
                    page.close()
                    print(f"{notebook.stem} {shot}: {count} pictures, {len(found)} remarks")
    return problems


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--run", action="store_true", help="run all cells in the browser first")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "screenshots")
    parser.add_argument("--themes", nargs="+", choices=THEMES, default=list(THEMES))
    parser.add_argument("--widths", nargs="+", type=int, default=WIDTHS)
    options = parser.parse_args(arguments)
    try:
        import playwright  # noqa: F401
    except ImportError:
        print("Playwright is missing: pip install playwright", file=sys.stderr)
        return 1
    missing = [str(notebook) for notebook in options.notebooks if not notebook.is_file()]
    if missing:
        parser.error(f"no such notebook: {', '.join(missing)}")
    problems = []
    for notebook in options.notebooks:
        problems += shoot(notebook, options.out, options.themes, options.widths, run=options.run)
    print("\n".join(problems) or "Everything fits.")
    print(f"Now look at the pictures in {options.out}")
    # A long line of code in a narrow window scrolls, as any editor's: worth knowing, no failure.
    return 1 if any(": code needs" not in problem for problem in problems) else 0


if __name__ == "__main__":
    sys.exit(main())
