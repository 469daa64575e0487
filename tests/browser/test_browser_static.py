"""The quiz as the course publishes it: opened in JupyterLab, and no cell has run."""

import pytest
from learner import bare, text_of
from notebook_page import opened, output_of, quiz_in, run
from reading import CALLS, LESSON, ONE_OF_EACH, QUESTIONS, check_readable, published_cells

from courseware.text import markdown_html

TOO_WIDE = """() => [...document.querySelectorAll(".tlm-static, .tlm-static *")].filter(part =>
    part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0 && part.tagName !== "PRE"
        && getComputedStyle(part).display !== "inline"
).map(part => part.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def published(tab):
    with opened(tab, "published", published_cells()) as page:
        yield page


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
