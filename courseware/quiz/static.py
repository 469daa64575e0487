"""A quiz without a kernel: what GitHub, nbviewer, an HTML page or a reopened notebook shows.

Plain tags only: sanitisers drop style sheets, scripts, list types, and inline styles with var().
"""

from __future__ import annotations

from courseware.quiz.payload import LETTERS, answer_html, feedback, shuffled
from courseware.text import markdown_html, plain_code_html

DOTS = {"easy": "●○○", "medium": "●●○", "hard": "●●●"}
CLASS = "tlm-static"  # widget.css hides it once the live quiz is there


def static_html(questions: list, title: str) -> str:
    """The questions, one under the other, each with folded hints and a folded solution."""
    several = len(questions) > 1
    heading = f"<p><b>{title}</b>: {len(questions)} questions</p>" if several else ""
    body = "".join(
        _question(question, n if several else 0) for n, question in enumerate(questions, 1)
    )
    note = "<p><i>Run the cell to answer here, with feedback on every answer.</i></p>"
    return f'<div class="{CLASS}">{heading}{body}{note}</div>'


def static_cards(questions: list, title: str) -> str:
    """What stands for recap cards: the lesson's closing questions, shown there."""
    count = f"{len(questions)} cards, the closing questions of the lesson."
    note = "<i>Run the cell to turn them over.</i>"
    return f'<div class="{CLASS}"><p><b>{title}</b>: {count} {note}</p></div>'


def _text(source: str) -> str:
    return markdown_html(source, mathml=False)


def _question(question, number: int) -> str:
    numbered = f"{number}. " if number else ""
    head = f"<p><b>{numbered}{DOTS[question.difficulty]} {question.concept}.</b></p>"
    code = question.code and plain_code_html(question.code, numbered=question.type == "bug")
    return (
        f"<div>{head}<div>{_text(question.prompt)}</div>{code}{_options(question)}"
        f"{_hints(question)}{_solution(question)}</div>"
    )


def _options(question) -> str:
    # Letters are written out: <ol type="A"> loses its type in a sanitiser.
    if question.type not in ("single", "multi", "order"):
        return ""
    rows = zip(LETTERS, shuffled(question), strict=False)
    items = (f"<li><b>{letter}</b> {_text(part.text)}</li>" for letter, part in rows)
    return f"<ul>{''.join(items)}</ul>"


def _hints(question) -> str:
    items = "".join(f"<li>{_text(hint)}</li>" for hint in question.hints)
    return f"<details><summary>Hints</summary><ol>{items}</ol></details>"


def _solution(question) -> str:
    steps = "".join(f"<li>{_text(step)}</li>" for step in question.solution)
    return (
        f"<details><summary>Answer and solution</summary>"
        f"<div><b>Answer:</b> {answer_html(question, mathml=False)}</div>"
        f"<ol>{steps}</ol>{_wrong_answers(question)}"
        f"<p>Common mistake: {' '.join(_text(mistake) for mistake in question.mistakes)}</p>"
        "</details>"
    )


def _wrong_answers(question) -> str:
    """Why each wrong option is wrong, where there are options."""
    if question.type not in ("single", "multi"):
        return ""
    texts = feedback(question, mathml=False)
    rows = zip(LETTERS, shuffled(question), strict=False)
    items = (f"<li><b>{a}</b> {texts[f'option:{o.id}']}</li>" for a, o in rows if not o.correct)
    return f"<ul>{''.join(items)}</ul>"
