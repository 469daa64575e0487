"""A notebook of our own in JupyterLab: opened, run, and asked how it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import nbformat
from lab_browser import open_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
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
        "from course_utils.quiz.show import final_quiz, quiz, recap"
    )


def write(lab, name: str, cells: list) -> None:
    """Store a notebook of ``cells``: sources, or cells; the first one is `first_cell`."""
    cells = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    notebook = new_notebook(cells=[first_cell(name), *cells], metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, lab.folder / f"{name}.ipynb")


@contextmanager
def opened(
    browser, lab, name: str, cells: list | None = None, width: int = 1300, remark: str = ""
) -> Iterator:
    """The page of a notebook, which is written first where ``cells`` are given.

    Raises AssertionError at the end: the console showed an error (other than ``remark``), or a
    request left the machine.
    """
    if cells is not None:
        write(lab, name, cells)
    requests: list[str] = []
    page, errors = open_notebook(
        Watched(browser, requests), lab.address, f"{name}.ipynb", width, height=1000
    )
    try:
        yield page
        bad = [error for error in errors if not remark or remark not in error] + requests
        assert not bad, "\n".join(bad)
    finally:
        page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
        page.close()


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


def quiz_in(page, cell: int):
    """The quiz in a cell's output."""
    return page.locator(".jp-Notebook-cell").nth(cell).locator(".tlm-quiz")


def cells_of(page) -> list:
    """Number, order, types and texts of the cells, and which is active."""
    return page.evaluate(
        f"""() => {{
            {_NOTEBOOK}
            const cells = notebook.model.sharedModel.toJSON().cells;
            return [notebook.activeCellIndex, ...cells.map(c => [c.id, c.cell_type, c.source])];
        }}"""
    )


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
