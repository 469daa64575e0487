"""The quiz when its kernel is gone: in a notebook that a learner saved, and as an exported page."""

import nbformat
import pytest
from nbconvert import HTMLExporter
from notebook_page import opened, output_of, run, write
from reading import CALLS, ONE_OF_EACH, check_readable, published_cells

PUBLISHED, SAVED = "to-export", "saved"
# What ipywidgets writes where a widget was, and nothing of ours can change.
NO_MODEL = "Error displaying widget: model not found"


@pytest.fixture(scope="module")
def saved(tab):
    """The notebook after a learner ran and saved it, and the kernel is gone."""
    with opened(tab, SAVED, CALLS) as page:
        run(page)
        page.wait_for_function(f"document.querySelectorAll('.tlm-quiz').length === {len(CALLS)}")
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    return tab.folder / f"{SAVED}.ipynb"


def test_a_saved_notebook_can_be_read_without_its_kernel(tab, saved):
    notebook = nbformat.read(saved, 4)
    assert "widgets" not in notebook.metadata
    with opened(tab, SAVED, None, "Error: widget model not found") as page:
        for number, question in enumerate(ONE_OF_EACH, 1):
            output = output_of(page, number)
            check_readable(output, question)
            assert output.locator(".tlm-quiz").count() == 0
            below = output.locator(".jp-OutputArea-child").last
            below.get_by_text(NO_MODEL).wait_for()
            assert below.inner_text().strip() == NO_MODEL


@pytest.mark.parametrize("name", [PUBLISHED, SAVED])
def test_an_exported_page_can_be_read(browser, tab, saved, name):
    if name == PUBLISHED:
        write(tab.folder, name, published_cells())
    html, _ = HTMLExporter().from_filename(str(tab.folder / f"{name}.ipynb"))
    file = tab.folder / f"{name}.html"
    file.write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.route("**/*", lambda route: _only_files(route))
    page.goto(file.as_uri())
    outputs = page.locator(".jp-Cell")
    for number, question in enumerate(ONE_OF_EACH, 1):
        output = outputs.nth(number).locator(".jp-Cell-outputWrapper")
        check_readable(output, question)
        assert "QuizWidget" not in output.inner_text()
    page.close()


def _only_files(route) -> None:
    # nbconvert's page asks for MathJax and the widget manager; here there is no network.
    route.continue_() if route.request.url.startswith(("file:", "data:")) else route.abort()
