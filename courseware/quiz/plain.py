"""The quiz out of core ipywidgets, for a front end without anywidget. Same grading, in Python.

Answers are typed, as letters or as a line number: the choice widgets of ipywidgets cut long texts.
"""

from __future__ import annotations

import html
import re

import ipywidgets as widgets

from courseware.quiz.grading import grade
from courseware.quiz.payload import LETTERS, MESSAGES
from courseware.quiz.static import DOTS
from courseware.text import plain_code_html

VERDICTS = {"correct": "✔ Right.", "partial": "◐ Partly right.", "wrong": "✘ Not yet."}
ASK = {
    "single": "Letter, such as B",
    "multi": "Letters, such as A C",
    "order": "Letters in order, such as B A C",
    "bug": "Number of the line",
    "numeric": "A number",
    "predict": "What is printed",
}


def read_answer(shown: dict, text: str):
    """A typed answer as `grading.grade` takes it: letters become ids, a line becomes an int."""
    if shown["type"] in ("numeric", "predict"):
        return text
    if shown["type"] == "bug":
        return int(text) if re.fullmatch(r"\s*[0-9]{1,4}\s*", text) else None
    by_letter = {option["letter"]: option["id"] for option in shown["options"]}
    letters = [letter for letter in text.upper() if letter in LETTERS]
    chosen = [by_letter.get(letter, letter) for letter in letters]
    return (chosen[0] if len(chosen) == 1 else None) if shown["type"] == "single" else chosen


class PlainQuestion(widgets.VBox):
    """One question with a field for the answer, and buttons for check, hint and solution.

    Parameters
    ----------
    shown : from `payload.payload`
    source : the source of its code, for a question that has any
    progress : where answers go
    """

    def __init__(self, shown: dict, source: str, progress) -> None:
        self._shown, self._progress = shown, progress
        self._hints = self._steps = 0
        self._said = ""
        self._field = widgets.Textarea(placeholder=ASK[shown["type"]], rows=shown.get("rows", 1))
        self._below = widgets.HTML()
        buttons = []
        for name, click in [("Check", self._check), ("Hint", self._hint), ("Solution", self._step)]:
            button = widgets.Button(description=name)
            button.on_click(click)
            buttons.append(button)
        question = widgets.HTML(_question_html(shown, source))
        super().__init__([question, self._field, widgets.HBox(buttons), self._below])

    def _check(self, _) -> None:
        graded = grade(self._shown["key"], read_answer(self._shown, self._field.value))
        texts = [self._shown["feedback"].get(code) or MESSAGES[code] for code in graded["say"]]
        verdict = VERDICTS.get(graded["status"], "")
        self._said = f"<p><b>{verdict}</b> {'<br>'.join(texts)}</p>"
        if graded["status"] != "invalid":
            seen = {"hints": self._hints, "steps": self._steps}
            result = {"status": graded["status"], "score": graded["score"]}
            self._progress.answer(self._shown["id"], **result, **seen)
        self._draw()

    def _hint(self, _) -> None:
        self._hints = min(self._hints + 1, len(self._shown["hints"]))
        self._progress.hint(self._shown["id"], self._hints, self._steps)
        self._draw()

    def _step(self, _) -> None:
        self._steps = min(self._steps + 1, len(self._shown["solution"]))
        self._progress.hint(self._shown["id"], self._hints, self._steps)
        self._draw()

    def _draw(self) -> None:
        hints = self._shown["hints"][: self._hints]
        steps = self._shown["solution"][: self._steps]
        told = [f"<p><b>Hint {n}.</b> {hint}</p>" for n, hint in enumerate(hints, 1)]
        told += [f"<p><b>Step {n}.</b> {step}</p>" for n, step in enumerate(steps, 1)]
        if self._steps == len(self._shown["solution"]):
            told.append(f"<div><b>Answer.</b> {self._shown['answer']}</div>")
        warning = self._progress.warning
        told.append(f"<p><i>{html.escape(warning)}</i></p>" if warning else "")
        self._below.value = self._said + "".join(told)


def _question_html(shown: dict, source: str) -> str:
    code = plain_code_html(source, numbered=shown["type"] == "bug") if source else ""
    options = "".join(
        f"<p><b>{option['letter']}</b> {option['html']}</p>" for option in shown.get("options", [])
    )
    return f"<p>{DOTS[shown['difficulty']]} {shown['concept']}</p>{shown['prompt']}{code}{options}"
