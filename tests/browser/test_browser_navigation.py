"""Finding one's way in a real JupyterLab: contents, ways to learn, neighbours, files, folded cells.

The notebooks are the real ones, as the build writes them, without the outputs of a run.
"""

from __future__ import annotations

import shutil

import pytest

from courseware.ways import WAYS
from tools.builder import build
from tools.builder.headings import anchor, sections
from tools.builder.lesson import ROOT, read_course
from tools.builder.notebook import lesson_notebook
from tools.builder.quiz_cells import fill_quiz_cells
from tools.lab.lab_browser import jupyterlab, open_notebook

LESSON = "04_feature_extraction"
# The heading that a link led to: in which document, and how far below its upper edge.
ARRIVED = """name => {
  const widget = window.jupyterapp.shell.currentWidget;
  const view = widget?.node.querySelector(".jp-WindowedPanel-outer");
  const heading = view?.querySelector(`[data-jupyter-id="${CSS.escape(name)}"]`);
  if (!heading) return null;
  const below = heading.getBoundingClientRect().top - view.getBoundingClientRect().top;
  return below >= -5 && below < view.clientHeight - 20 ? widget.title.label : null;
}"""
FOUND = """name => Boolean(window.jupyterapp.shell.currentWidget?.node
  .querySelector(`[data-jupyter-id="${CSS.escape(name)}"]`))"""
CURRENT = "() => window.jupyterapp.shell.currentWidget?.title.label"
OPEN = """async path => {
  const widget = await window.jupyterapp.commands.execute("docmanager:open", {path});
  await widget.context.ready;
  widget.node.querySelector(".jp-WindowedPanel-outer").scrollTo(0, 0);
}"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder as a learner's clone: notebooks, and the files they link to."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("data/README.md", "docs/cheat_sheet.html"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for lesson in build.choose([], ROOT / "lessons"):
        notebook = lesson_notebook(lesson, read_course())
        fill_quiz_cells(notebook)
        build.write(notebook, root / "notebooks" / f"{lesson.stem}.ipynb")
    return root


@pytest.fixture(scope="module")
def page(browser, house):
    with jupyterlab(house, OMP_NUM_THREADS="1") as address:
        page, errors = open_notebook(browser, address, "notebooks/00_start_here.ipynb", 1300)
        yield page
        page.close()
        assert not errors


def arrive(page, notebook: str, name: str) -> None:
    """Wait until the heading called ``name`` is in view in ``notebook``."""
    page.wait_for_function(f"name => ({ARRIVED})(name) === {notebook + '.ipynb'!r}", arg=name)


def shown(page, selector: str):
    """What fits the selector in the document in front."""
    return page.locator(f".jp-NotebookPanel:not(.lm-mod-hidden) {selector}")


def test_the_contents_lead_to_every_section(page):
    page.evaluate(OPEN, f"notebooks/{LESSON}.ipynb")
    contents = shown(page, "details").first
    assert contents.locator("summary").inner_text() == "In this lesson"
    assert not contents.locator("li").first.is_visible()
    contents.locator("summary").click()
    text = (ROOT / f"lessons/{LESSON}.py").read_text(encoding="utf-8")
    headings = sections("\n".join(line.removeprefix("# ") for line in text.splitlines()))
    assert contents.locator("li").count() == len(headings) > 10
    for number, heading in enumerate(headings):
        page.evaluate(OPEN, f"notebooks/{LESSON}.ipynb")
        contents.locator("li a").nth(number).click()
        arrive(page, LESSON, anchor(heading))


@pytest.mark.parametrize("number", range(len(WAYS)), ids=[way.key for way in WAYS])
def test_a_way_leads_to_the_last_of_its_places(page, number):
    # JupyterLab opens a notebook at its top whatever the link says; the second click goes on.
    for _ in range(2):
        page.evaluate(OPEN, "notebooks/00_start_here.ipynb")
        way = shown(page, ".jp-OutputArea details").nth(number)
        assert way.locator("b").inner_text() == f"{number + 1} · {WAYS[number].title}"
        if way.get_attribute("open") is None:
            way.locator("summary").click()
        link = way.locator("li a").last
        name = link.inner_text().replace(" ", "-")
        link.click()
        page.wait_for_function(f"name => ({FOUND})(name)", arg=name)
    page.wait_for_function(f"name => Boolean(({ARRIVED})(name))", arg=name)


def test_the_links_to_neighbours_open_them(page):
    page.evaluate(OPEN, f"notebooks/{LESSON}.ipynb")
    shown(page, ".jp-MarkdownOutput").first.get_by_text("5 · Fine-tuning →").click()
    page.wait_for_function(f"({CURRENT})() === '05_fine_tuning.ipynb'")
    shown(page, ".jp-MarkdownOutput").last.get_by_text("← 4 · Feature extraction").click()
    page.wait_for_function(f"({CURRENT})() === '{LESSON}.ipynb'")


def test_a_file_of_the_repository_opens(page):
    page.evaluate(OPEN, "notebooks/08_which_strategy.ipynb")
    shown(page, ".jp-MarkdownOutput a[href*='cheat_sheet']").first.click()
    page.wait_for_function(f"({CURRENT})() === 'cheat_sheet.html'")
    page.evaluate(OPEN, "notebooks/00_start_here.ipynb")
    shown(page, ".jp-MarkdownOutput a[href*='README']").first.click()
    page.wait_for_function(f"({CURRENT})() === 'README.md'")


def test_folded_cells_show_the_line_that_says_what_they_are(page):
    page.evaluate(OPEN, f"notebooks/{LESSON}.ipynb")
    lines = shown(page, ".jp-InputPlaceholder").all_inner_texts()
    lines = [line.strip().removesuffix("…").strip() for line in lines]
    assert lines[0].startswith("# Start: fetch the course")
    assert len(lines) > 5
    for line in lines[1:]:
        kinds = ("Question", "Quiz", "Dial", "Lines to step through", "Step through")
        assert line.startswith(tuple(f"# {kind}: " for kind in kinds)), line
    # Nothing to write is hidden.
    assert "def extract_features" in "".join(shown(page, ".jp-InputArea").all_inner_texts())
