"""Answers questions in the browser as a learner does: by mouse, or by keyboard alone."""

from __future__ import annotations

import html
import re

from courseware.quiz.grading import answer_key, grade
from courseware.quiz.payload import MESSAGES, feedback, shuffled
from courseware.text import markdown_html

TYPES = ("single", "multi", "numeric", "predict", "order", "bug")
VERDICTS = {
    "correct": "✔ Right.",
    "partial": "◐ Partly right.",
    "wrong": "✘ Not yet.",
    "invalid": "",
}


# --- what to answer, and what the quiz then says ---


def right(question):
    """The right answer, as `grading.grade` takes it."""
    if question.type in ("single", "multi"):
        ids = [option.id for option in question.options if option.correct]
        return ids if question.type == "multi" else ids[0]
    if question.type == "order":
        return [step.id for step in question.steps]
    if question.type == "bug":
        return question.buggy_line
    return question.accept[0].strip() if question.type == "predict" else str(question.answer)


def wrong(question):
    """An answer that is not right and has feedback of its own."""
    if question.type in ("single", "multi"):
        ids = [option.id for option in shuffled(question) if not option.correct]
        return ids[:1] if question.type == "multi" else ids[0]
    if question.type == "bug":
        return next(lines.lines[0] for lines in question.options if not lines.correct)
    if question.near:
        near = question.near[0]
        return near.order if question.type == "order" else str(near.value)
    if question.type == "order":
        backwards = [step.id for step in reversed(question.steps)]
        return backwards if backwards not in question.orders else backwards[1:] + backwards[:1]
    return "-987654.3"


def said(question, answer) -> list[str]:
    """All that the quiz says to an answer, the verdict first, each without any space."""
    graded = grade(answer_key(question), answer)
    texts = feedback(question) | MESSAGES
    return [bare(text) for text in (VERDICTS[graded["status"]], *map(texts.get, graded["say"]))]


def bare(text: str) -> str:
    """A text, or HTML, as its visible characters without any space."""
    return re.sub(r"\s", "", html.unescape(re.sub(r"<[^>]+>", "", text)))


def text_of(locator) -> str:
    """The visible characters of a part of the page, without any space."""
    return re.sub(r"\s", "", locator.inner_text())


def shown_in(quiz, questions: list):
    """Which of the questions a quiz shows now."""
    prompt = bare(html.escape(quiz.locator("legend").text_content()))
    return next(q for q in questions if bare(markdown_html(q.prompt)) == prompt)


# --- by mouse ---


def click_answer(quiz, question, answer) -> None:
    """Put an answer in by mouse; what is typed is typed."""
    if question.type in ("single", "bug"):
        quiz.locator(f'label:has(input[value="{answer}"])').click()
    elif question.type == "multi":
        for box in quiz.locator("input").all():
            if box.is_checked() != (box.get_attribute("value") in answer):
                quiz.locator("label", has=quiz.page.locator(_same(box))).click()
    elif question.type == "order":
        for row in moves(quiz, question, answer):
            row.get_by_role("button", name="Move up").click()
    else:
        quiz.get_by_role("textbox").click()
        _type_anew(quiz.page, answer)


def _same(box) -> str:
    return f'input[value="{box.get_attribute("value")}"]'


def moves(quiz, question, answer):
    """The rows to move up by one, one after another, until the steps stand as in ``answer``."""
    texts = {bare(markdown_html(step.text)): step.id for step in question.steps}
    for place, wanted in enumerate(answer):
        while True:
            rows = quiz.locator(".steps li")
            shown = [texts[text_of(row.locator("> span").last)] for row in rows.all()]
            at = shown.index(wanted)
            if at <= place:
                break
            yield rows.nth(at)


def _type_anew(page, text: str) -> None:
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


# --- by keyboard ---


def type_answer(quiz, question, answer) -> None:
    """Put an answer in by keyboard alone."""
    keyboard = quiz.page.keyboard
    if question.type in ("single", "bug"):
        chosen = quiz.locator(f'input[value="{answer}"]')
        boxes = quiz.locator("input")
        # One radio of the group is in the Tab order: the checked one, else the first.
        checked = quiz.locator("input:checked")
        tab_to(checked if checked.count() else boxes.first)
        keyboard.press("Space")
        for _ in range(boxes.count()):
            if chosen.is_checked():
                return
            keyboard.press("ArrowDown")
    elif question.type == "multi":
        for box in quiz.locator("input").all():
            if box.is_checked() != (box.get_attribute("value") in answer):
                tab_to(box)
                keyboard.press("Space")
    elif question.type == "order":
        for row in moves(quiz, question, answer):
            tab_to(row.get_by_role("button", name="Move up"))
            keyboard.press("Enter")
    else:
        tab_to(quiz.get_by_role("textbox"))
        _type_anew(quiz.page, answer)


def press(quiz, name: str, key: str = "Space") -> None:
    """Press one of a quiz's buttons by keyboard."""
    tab_to(quiz.get_by_role("button", name=name))
    quiz.page.keyboard.press(key)


def tab_to(locator) -> None:
    """Press Tab, or Shift+Tab where it lies before, until something has the focus.

    Raises AssertionError: it cannot be reached so.
    """
    element, page = locator.element_handle(), locator.page
    for _ in range(80):
        where = page.evaluate(
            """element => element === document.activeElement ? 0
                : document.activeElement.compareDocumentPosition(element)""",
            element,
        )
        if where == 0:
            return
        page.keyboard.press("Shift+Tab" if where & 2 else "Tab")  # 2: DOCUMENT_POSITION_PRECEDING
    raise AssertionError(f"Tab does not reach {locator}")
