"""The quiz without a kernel: as the course publishes it, as a learner saves it, as a page."""

import nbformat
import pytest
from learner import bare, text_of
from nbconvert import HTMLExporter
from notebook_page import opened, quiz_in, run, write
from quiz_cells import static_output

from course_utils.quiz.bank import load_banks, questions_of
from course_utils.quiz.payload import shuffled
from course_utils.quiz.text import markdown_html

QUESTIONS = questions_of(load_banks())
LESSON = load_banks()[0].lesson
ONE_OF_EACH = list({question.type: question for question in QUESTIONS}.values())
CALLS = [f'quiz("{question.id}")' for question in ONE_OF_EACH] + [f'quiz("{LESSON}")']
PUBLISHED, SAVED = "published", "saved"
# What ipywidgets writes where a widget was, and nothing of ours can change.
NO_MODEL = "Error displaying widget: model not found"

TOO_WIDE = """() => [...document.querySelectorAll(".tlm-static, .tlm-static *")].filter(part =>
    part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0 && part.tagName !== "PRE"
        && getComputedStyle(part).display !== "inline"
).map(part => part.outerHTML.slice(0, 200))"""


def published_cells() -> list:
    """Quiz cells with the outputs that the build stores."""
    cells = [nbformat.v4.new_code_cell(call) for call in CALLS]
    for cell in cells:
        cell.outputs = [static_output(cell)]
    return cells


@pytest.fixture(scope="module")
def published(browser, lab):
    with opened(browser, lab, PUBLISHED, published_cells()) as page:
        yield page


@pytest.fixture(scope="module")
def saved(browser, lab):
    """The notebook after a learner ran and saved it, and the kernel is gone."""
    with opened(browser, lab, SAVED, CALLS) as page:
        run(page)
        page.wait_for_function(f"document.querySelectorAll('.tlm-quiz').length === {len(CALLS)}")
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    return lab.folder / f"{SAVED}.ipynb"


def output_of(page, cell: int):
    return page.locator(".jp-Notebook-cell").nth(cell).locator(".jp-Cell-outputArea")


def check_readable(output, question) -> None:
    """The question and its options can be read; hints and solution are there to unfold."""
    shown = text_of(output)
    assert bare(markdown_html(question.prompt, mathml=False)) in shown
    assert bare(question.code or "") in shown or question.type == "bug"
    if question.type in ("single", "multi", "order"):
        for letter, part in zip("ABCDEFGH", shuffled(question), strict=False):
            assert letter + bare(markdown_html(part.text, mathml=False)) in shown
    hint = bare(markdown_html(question.hints[0], mathml=False))
    step = bare(markdown_html(question.solution[0], mathml=False))
    assert hint not in shown and step not in shown
    for summary in output.locator("summary").all():
        summary.click()
    assert hint in text_of(output) and step in text_of(output)
    for summary in output.locator("summary").all():
        summary.click()


@pytest.mark.parametrize("number", range(len(ONE_OF_EACH)), ids=[q.type for q in ONE_OF_EACH])
def test_a_published_question_can_be_read(published, number):
    output = output_of(published, 1 + number)
    check_readable(output, ONE_OF_EACH[number])
    assert not output.locator("input, button, .tlm-quiz, .jp-mod-error").count()
    assert "Run the cell to answer here" in output.inner_text()


def test_a_published_set_has_all_questions(published):
    shown = text_of(output_of(published, len(CALLS)))
    asked = [q for q in QUESTIONS if q.id[:2] == LESSON[:2] and not q.inline]
    assert all(bare(markdown_html(question.prompt, mathml=False)) in shown for question in asked)


@pytest.mark.parametrize("width", [1300, 700])
def test_nothing_published_is_cut_off(published, width):
    published.set_viewport_size({"width": width, "height": 1000})
    too_wide = published.evaluate(TOO_WIDE)
    assert too_wide == []


def test_the_live_quiz_takes_the_place_of_the_static_one(published):
    run(published, 0, 1)
    quiz_in(published, 1).wait_for()
    assert output_of(published, 1).locator(".tlm-static").is_hidden()
    assert output_of(published, 2).locator(".tlm-static").is_visible()  # has not run


def test_a_saved_notebook_can_be_read_without_its_kernel(browser, lab, saved):
    notebook = nbformat.read(saved, 4)
    assert "widgets" not in notebook.metadata
    with opened(browser, lab, SAVED, remark="Error: widget model not found") as page:
        for number, question in enumerate(ONE_OF_EACH, 1):
            output = output_of(page, number)
            check_readable(output, question)
            assert output.locator(".tlm-quiz").count() == 0
            below = output.locator(".jp-OutputArea-child").last.inner_text()
            assert below.strip() == NO_MODEL


@pytest.mark.parametrize("name", [PUBLISHED, SAVED])
def test_an_exported_page_can_be_read(browser, lab, saved, name):
    if name == PUBLISHED:
        write(lab, name, published_cells())
    html, _ = HTMLExporter().from_filename(str(lab.folder / f"{name}.ipynb"))
    file = lab.folder / f"{name}.html"
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
