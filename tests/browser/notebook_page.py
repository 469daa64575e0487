"""A notebook of our own in JupyterLab: opened, run, and asked how it is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.lab.lab_browser import IS_IDLE, open_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
_OPEN = """async path => {
  const panel = await window.jupyterapp.commands.execute("docmanager:open", {path});
  await panel.context.ready;
  await panel.sessionContext.ready;
}"""
# Without a question whether to save, and with its kernel.
_CLOSE = """async () => {
  localStorage.removeItem("transfer-learning-measured/outbox");
  window.jupyterapp.shell.currentWidget.dispose();
  await window.jupyterapp.serviceManager.sessions.shutdownAll();
}"""
# In the middle of each there is nothing else: JupyterLab lays a page out some frames after its size
# has changed, and until then what lies further down is behind the shell.
_UNCOVERED = """selector => [...document.querySelectorAll(selector)].every(part => {
  const {left, top, width, height} = part.getBoundingClientRect();
  return part.contains(document.elementFromPoint(left + width / 2, top + height / 2));
})"""
# What JupyterLab throws when a notebook is closed soon after it was opened.
_HASTE = "Canceled future for "
_NOTEBOOK = "const notebook = window.jupyterapp.shell.currentWidget.content;"


class Watched:
    """A browser whose pages note every request that leaves this machine."""

    def __init__(self, browser, requests: list[str]) -> None:
        self._browser, self._requests = browser, requests

    def new_page(self, **options):
        page = self._browser.new_page(**options)
        page.on("request", lambda request: self._note(request.url))
        return page

    def _note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:")):
            self._requests.append(url)


def first_cell(name: str):
    """The imports of every notebook here, and a progress file of its own."""
    return new_code_cell(
        f'import os, time\nos.environ["COURSE_PROGRESS"] = "{name}.json"\n'
        "from courseware.quiz import final_quiz, quiz, recap"
    )


def write(folder: Path, name: str, cells: list) -> None:
    """Store a notebook of ``cells``: sources, or cells; the first one is `first_cell`."""
    cells = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    notebook = new_notebook(cells=[first_cell(name), *cells], metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, folder / f"{name}.ipynb")


class Tab:
    """One JupyterLab in one tab of the browser; notebooks are opened in it one after another."""

    def __init__(self, browser, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.requests: list[str] = []
        self._browser = Watched(browser, self.requests)
        self.page = None

    def load(self, name: str) -> None:
        """Open the tab on a notebook: seconds, against the half second of a second notebook."""
        self.page, self.errors = open_notebook(
            self._browser, self.address, f"{name}.ipynb", 1300, height=1000
        )

    def known(self, name: str) -> dict:
        """What the progress file of the notebook ``name`` holds."""
        file = self.folder / f"{name}.json"
        if not file.exists():
            return {"questions": {}, "finals": []}
        return json.loads(file.read_text(encoding="utf-8"))

    def record(self, name: str, question: str, **expected) -> dict:
        """What that file knows about a question, as soon as ``expected`` is so.

        After five seconds it is whatever it is.
        """
        for _ in range(100):
            known = self.known(name)["questions"].get(question, {})
            if known and expected.items() <= known.items():
                break
            time.sleep(0.05)
        return known


@contextmanager
def opened(tab: Tab, name: str, cells: list | None = None, *remarks: str) -> Iterator:
    """The page with a notebook, which is written first where ``cells`` are given.

    Raises AssertionError at the end: the console showed an error (other than ``remarks``), or a
    request left the machine.
    """
    if cells is not None:
        write(tab.folder, name, cells)
    if tab.page is None:
        tab.load(name)
    else:
        tab.page.evaluate(_OPEN, f"{name}.ipynb")
        tab.page.wait_for_selector(".jp-Notebook .jp-Cell")
        tab.page.wait_for_function(IS_IDLE)
    tab.page.set_viewport_size({"width": 1300, "height": 1000})
    try:
        yield tab.page
    finally:
        tab.page.evaluate(_CLOSE)
    bad = [error for error in tab.errors if not any(known in error for known in (_HASTE, *remarks))]
    bad += tab.requests
    tab.errors.clear()
    tab.requests.clear()
    assert not bad, "\n".join(bad)


def select(page, cell: int) -> None:
    """Make a cell the active one, in command mode, as a click beside it does."""
    page.evaluate(
        f"""number => {{
            {_NOTEBOOK} notebook.activeCellIndex = number; notebook.mode = "command";
            notebook.activate();
        }}""",
        cell,
    )


def run(page, *cells: int, wait: bool = True) -> None:
    """Run cells by their numbers, all of them if none is given, and wait until they are done."""
    for cell in cells or [None]:
        if cell is not None:
            select(page, cell)
        command = "notebook:run-all-cells" if cell is None else "notebook:run-cell"
        page.evaluate("name => { window.jupyterapp.commands.execute(name); }", command)
    if wait:
        wait_until_done(page)


def wait_until_done(page) -> None:
    """Wait until no cell runs or waits. (The status of the kernel forgets cells that wait.)"""
    page.wait_for_function(
        """() => ![...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].some(
            prompt => prompt.innerText.includes("*"))"""
    )


def output_of(page, cell: int):
    """The outputs of a cell."""
    return page.locator(".jp-Notebook-cell").nth(cell).locator(".jp-Cell-outputArea")


def quiz_in(page, cell: int):
    """The quiz in a cell's output."""
    return output_of(page, cell).locator(".tlm-quiz")


def cells_of(page) -> list:
    """Number, order, types and texts of the cells, and which is active."""
    return page.evaluate(
        f"""() => {{
            {_NOTEBOOK}
            const cells = notebook.model.sharedModel.toJSON().cells;
            return [notebook.activeCellIndex, ...cells.map(c => [c.id, c.cell_type, c.source])];
        }}"""
    )


def show_at_once(page, selector: str, width: int, height: int) -> None:
    """Make the page so large that no ``selector`` is scrolled away, and wait until it is so."""
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)")
    page.wait_for_function(_UNCOVERED, arg=selector)


def set_theme(page, theme: str) -> None:
    """Switch to "light" or "dark", and wait until it is so."""
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
        THEMES[theme],
    )
    light = str(theme == "light").lower()
    page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")
    page.wait_for_timeout(600)  # its style sheet comes after its name


def heading(text: str):
    return new_markdown_cell(f"## {text}")


def sticks_out(selector: str, without: str = "") -> str:
    """JavaScript: what reaches beyond the right edge of its ``selector``, or holds more than it
    shows. ``without`` is a selector of parts that may."""
    parts = f"*:not({without})" if without else "*"
    return f"""() => [...document.querySelectorAll("{selector}")].flatMap(whole => {{
        const edge = whole.getBoundingClientRect().right;
        return [whole, ...whole.querySelectorAll("{parts}")].filter(part =>
            part.getBoundingClientRect().right > edge + 1
            || part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0
                && part.tagName !== "INPUT" && getComputedStyle(part).display !== "inline"
        ).map(part => part.outerHTML.slice(0, 150));
    }})"""
