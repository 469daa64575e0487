"""A quiz that nobody runs: what must be there to read."""

from __future__ import annotations

import html

import nbformat
from learner import bare, text_of

from courseware.bank.questions import load_banks, questions_of
from courseware.quiz.payload import shuffled
from courseware.text import markdown_html
from tools.builder.quiz_cells import static_output

# What is read on the page is compared with the bank; typeset mathematics has glyphs of its own.
QUESTIONS = [question for question in questions_of(load_banks()) if "$" not in str(question)]
LESSON = load_banks()[0].lesson
ONE_OF_EACH = list({question.type: question for question in QUESTIONS}.values())
CALLS = [f'quiz("{question.id}")' for question in ONE_OF_EACH] + [f'quiz("{LESSON}")']


def published_cells() -> list:
    """Quiz cells with the outputs that the build stores."""
    cells = [nbformat.v4.new_code_cell(call) for call in CALLS]
    for cell in cells:
        cell.outputs = [static_output(cell)]
    return cells


def check_readable(output, question) -> None:
    """The question and its options can be read; hints and solution are there to unfold."""
    shown = text_of(output)
    assert bare(markdown_html(question.prompt, mathml=False)) in shown
    assert all(bare(html.escape(line)) in shown for line in (question.code or "").splitlines())
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
