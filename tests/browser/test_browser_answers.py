"""Each type of question, by mouse and by keyboard alone: wrong, a hint, right; and it is saved."""

import pytest
from learner import (
    TYPES,
    bare,
    click_answer,
    press,
    right,
    said,
    tab_to,
    text_of,
    type_answer,
    wrong,
)
from notebook_page import opened, quiz_in, run, select
from reading import QUESTIONS

from courseware.text import markdown_html

OF_TYPE = {kind: [q for q in QUESTIONS if q.type == kind] for kind in TYPES}
MOUSE = [questions[0] for questions in OF_TYPE.values()]
KEYS = [questions[-1] for questions in OF_TYPE.values()]
# A field of several lines has keys of its own.
LONG = next(q for q in OF_TYPE["predict"] if "\n" in q.accept[0].strip() and q not in MOUSE + KEYS)
CELLS = [*MOUSE, *KEYS, LONG]
NAME = "answers"


@pytest.fixture(scope="module")
def page(tab):
    cells = [f'quiz("{question.id}")' for question in CELLS]
    with opened(tab, NAME, cells) as page:
        run(page)
        yield page


def quiz_of(page, question):
    return quiz_in(page, 1 + CELLS.index(question))


def check_feedback(quiz, question, answer) -> None:
    verdict, *texts = said(question, answer)
    shown = text_of(quiz.locator(".verdict"))
    assert shown.startswith(verdict) and all(text in shown for text in texts), shown


def check_saved(tab, quiz, question) -> None:
    record = tab.record(NAME, question.id, tries=2, hints=1)
    assert (record["tries"], record["hints"], record["best"]) == (2, 1, 1.0)
    assert record["last"] == "correct"
    assert "✔ answered, 2 tries" in quiz.locator("form > .meta").inner_text()


@pytest.mark.parametrize("question", MOUSE, ids=lambda question: question.type)
def test_by_mouse(page, tab, question):
    quiz = quiz_of(page, question)
    check = quiz.get_by_role("button", name="Check")
    click_answer(quiz, question, wrong(question))
    check.click()
    check_feedback(quiz, question, wrong(question))
    quiz.get_by_role("button", name="Hint").click()
    assert text_of(quiz.locator(".note.hint")) == "Hint1." + bare(markdown_html(question.hints[0]))
    click_answer(quiz, question, right(question))
    check.click()
    check_feedback(quiz, question, right(question))
    check_saved(tab, quiz, question)


@pytest.mark.parametrize("question", KEYS, ids=lambda question: question.type)
def test_by_keyboard(page, tab, question):
    quiz = quiz_of(page, question)
    select(page, 1 + CELLS.index(question))  # from here on, keys alone
    type_answer(quiz, question, wrong(question))
    press(quiz, "Check", "Enter")
    check_feedback(quiz, question, wrong(question))
    press(quiz, "Hint")
    assert text_of(quiz.locator(".note.hint")) == "Hint1." + bare(markdown_html(question.hints[0]))
    type_answer(quiz, question, right(question))
    press(quiz, "Check")
    check_feedback(quiz, question, right(question))
    check_saved(tab, quiz, question)


def test_enter_answers_and_in_a_field_of_lines_makes_a_line(page):
    numeric = OF_TYPE["numeric"][-1]
    quiz = quiz_of(page, numeric)
    tab_to(quiz.get_by_role("textbox"))
    page.keyboard.press("Control+a")
    page.keyboard.type("many")
    page.keyboard.press("Enter")
    assert "not a number" in quiz.locator(".verdict").inner_text()
    quiz = quiz_of(page, LONG)
    field = quiz.get_by_role("textbox")
    tab_to(field)
    page.keyboard.type(right(LONG))  # its line ends are Enter
    assert field.input_value() == right(LONG)
    assert not quiz.locator(".verdict").inner_text()
    page.keyboard.press("Shift+Enter")
    assert "Right." in quiz.locator(".verdict").inner_text()


@pytest.mark.parametrize("question", MOUSE, ids=lambda question: question.type)
def test_start_over_and_the_solution_step_by_step(page, tab, question):
    quiz = quiz_of(page, question)
    quiz.get_by_role("button", name="Start over").click()
    assert not quiz.locator(".verdict").inner_text() and not quiz.locator("input:checked").count()
    assert quiz.page.evaluate("document.activeElement.closest('.tlm-quiz form') !== null")
    for place, step in enumerate(question.solution, 1):
        quiz.get_by_role("button", name="Solution").click()
        shown = text_of(quiz)
        assert f"Step{place}.{bare(markdown_html(step))}" in shown
        assert ("Answer." in shown) == (place == len(question.solution))
    steps = len(question.solution)
    assert tab.record(NAME, question.id, steps=steps)["tries"] == 2  # looking is no try


MARKUP = '<img src=x onerror="window.obeyed = true"><script>window.obeyed = true</script>'


@pytest.mark.parametrize("kind", ["numeric", "predict"])
def test_markup_in_an_answer_is_text(page, kind):
    quiz = quiz_of(page, OF_TYPE[kind][0])
    field = quiz.get_by_role("textbox")
    field.click()
    page.keyboard.press("Control+a")
    page.keyboard.type(MARKUP)
    quiz.get_by_role("button", name="Check").click()
    assert quiz.locator(".verdict").inner_text().strip()
    assert "Right" not in quiz.locator(".verdict").inner_text()
    assert field.input_value() == MARKUP
    assert not quiz.locator("img, script").count()
    assert page.evaluate("window.obeyed") is None
