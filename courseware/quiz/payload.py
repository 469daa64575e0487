"""A question as the front end gets it: HTML, the key, and the feedback for each grading code."""

from __future__ import annotations

import hashlib
import html

from courseware.quiz.grading import answer_key
from courseware.text import code_html, code_lines, markdown_html

LETTERS = "ABCDEFGH"
# Feedback that does not depend on the question, by the codes of `grading.grade`.
MESSAGES = {
    "pick-one": "Choose an answer first.",
    "pick-some": "Choose at least one answer first.",
    "pick-order": "Put every step in its place first.",
    "pick-line": "Choose a line first.",
    "empty": "Type your answer first.",
    "too-long": "That is too long to be an answer.",
    "not-a-number": "That is not a number. Write it like 448, 1.5e-3 or 3/4.",
    "missing": "At least one right answer is still missing.",
}


def shuffled(question) -> list:
    """The options or steps of a question in the order in which everyone sees them.

    The order follows from the ids alone: the letters mean the same for all learners, today and
    tomorrow, and say nothing about which is right. Steps never start in a right order.
    """
    parts = list(question.steps if question.type == "order" else question.options)
    parts.sort(key=lambda part: hashlib.sha256(f"{question.id}/{part.id}".encode()).digest())
    if question.type == "order":
        while [step.id for step in parts] in question.orders:
            parts.append(parts.pop(0))
    return parts


def payload(question, lesson: str) -> dict:
    """All that the browser needs to show and to grade one question, ready for JSON."""
    shown = {
        "id": question.id,
        "lesson": lesson,
        "type": question.type,
        "difficulty": question.difficulty,
        "concept": question.concept,
        "section": question.section,
        "prompt": markdown_html(question.prompt),
        "code": code_html(question.code) if question.code and question.type != "bug" else "",
        "key": answer_key(question),
        "feedback": feedback(question),
        "answer": answer_html(question),
        "hints": [markdown_html(hint) for hint in question.hints],
        "solution": [markdown_html(step) for step in question.solution],
        "mistakes": [markdown_html(mistake) for mistake in question.mistakes],
    }
    if question.type == "bug":
        shown["lines"] = _pickable_lines(question)
    elif question.type == "predict":
        shown["rows"] = len(question.accept[0].strip().splitlines())
    elif question.type == "numeric":
        shown["unit"] = question.unit
    else:
        shown["options"] = [
            {"id": part.id, "letter": letter, "html": markdown_html(part.text)}
            for letter, part in zip(LETTERS, shuffled(question), strict=False)
        ]
    return shown


def _pickable_lines(question) -> list[dict]:
    listed = {number for option in question.options for number in option.lines}
    lines = enumerate(code_lines(question.code), start=1)
    return [{"number": n, "html": line, "pick": n in listed} for n, line in lines]


def feedback(question, *, mathml: bool = True) -> dict[str, str]:
    """HTML for each code that `grading.grade` can return for this question."""
    if question.type in ("single", "multi"):
        texts = {f"option:{option.id}": option.feedback for option in question.options}
    elif question.type == "bug":
        texts = {f"line:{place}": lines.feedback for place, lines in enumerate(question.options)}
    else:
        texts = {f"near:{place}": near.feedback for place, near in enumerate(question.near)}
        texts["right"] = question.solution[-1]
    if question.type == "order":
        texts |= {f"place:{step.id}": _out_of_place(step) for step in question.steps}
    elif question.type in ("numeric", "predict"):
        texts["otherwise"] = question.otherwise
    return {code: markdown_html(text, mathml=mathml) for code, text in texts.items()}


def _out_of_place(step) -> str:
    return f"Not here yet: {step.text}\n\n{step.feedback}"


def answer_html(question, *, mathml: bool = True) -> str:
    """The right answer, to stand before the solution."""

    def text(source: str) -> str:
        return markdown_html(source, mathml=mathml)

    if question.type in ("single", "multi"):
        pairs = zip(LETTERS, shuffled(question), strict=False)
        told = [
            f"<b>{letter}</b> {text(option.text)}" for letter, option in pairs if option.correct
        ]
        return "<br>".join(told)
    if question.type == "numeric":
        return html.escape(f"{question.answer:.12g} {question.unit}".strip())
    if question.type == "predict":
        return f"<pre>{html.escape(question.accept[0].strip(), quote=False)}</pre>"
    if question.type == "order":
        return "<br>".join(f"{n}. {text(step.text)}" for n, step in enumerate(question.steps, 1))
    fix = html.escape(question.fix.strip(), quote=False) or "(nothing)"
    return f"Line {question.buggy_line}. In its place: <code>{fix}</code>"
