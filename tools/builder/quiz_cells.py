"""What a built notebook stores for a quiz cell: the version that needs no kernel.

It is made from the bank at every build, so that a changed question executes no lesson.
"""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path

from nbformat.v4 import new_output

from courseware.bank.questions import find, load_banks, questions_of
from courseware.progress import progress
from courseware.progress.store import Progress
from courseware.quiz.draw import draw
from courseware.quiz.static import static_cards, static_html
from courseware.ways import ways_of
from tools.builder.lesson import QUIZ, ROOT, LessonError, quiz_call, tags
from tools.builder.places import FINAL, learning_places

LESSONS = ROOT / "lessons"
# What shows of the cells that do not name a question.
_ALONE = {"final_quiz": "Final quiz", "progress": "Your progress", "ways": "Ten ways to learn"}


def fill_quiz_cells(notebook) -> None:
    """Put the static quiz into every quiz cell of the notebook.

    Raises LessonError: a cell names a question or a lesson that the bank does not have.
    """
    for cell in notebook.cells:
        if QUIZ in tags(cell):
            cell.outputs = [static_output(cell)]


def first_line(cell) -> str:
    """The comment that the cell begins with: all that shows of its code while it is folded.

    Raises LessonError: the cell names a question or a lesson that the bank does not have.
    """
    call = quiz_call(cell)
    if call.func.id in _ALONE:
        return f"# {_ALONE[call.func.id]}"
    questions, title = _found(call)
    if call.func.id == "recap":
        return f"# {title.replace('Quiz', 'Recap cards')}"
    if len(questions) == 1:
        return f"# Question: {questions[0].concept}"
    return f"# Quiz: {len(questions)} questions"


def static_output(cell):
    """The output of one quiz cell."""
    call = quiz_call(cell)
    if call.func.id == "progress":
        return new_output("display_data", data=_of_nobody())
    if call.func.id == "ways":
        return new_output("display_data", data=_of_all_lessons())
    return new_output("display_data", data={"text/html": _asked(call)})


def _found(call: ast.Call) -> tuple[list, str]:
    """The questions that the cell shows, and their title."""
    try:
        return find(call.args[0].value, load_banks())
    except KeyError as error:
        raise LessonError(f"quiz cell {ast.unparse(call)}: {error.args[0]}") from error


def _asked(call: ast.Call) -> str:
    if call.func.id == "final_quiz":
        return static_html(draw(questions_of(load_banks()), n=FINAL, seed=0), "Final quiz")
    questions, title = _found(call)
    if call.func.id == "recap":
        return static_cards(questions, title.replace("Quiz", "Recap"))
    return static_html(questions, title)


def _of_nobody() -> dict[str, str]:
    """The progress panel of someone who has not begun."""
    with tempfile.TemporaryDirectory() as folder:
        panel = progress(Progress(Path(folder, "progress.json")))
        return {"text/html": panel._repr_html_(), "text/plain": str(panel)}


def _of_all_lessons() -> dict[str, str]:
    """The ten ways, as the sources have them now."""
    shown = ways_of(learning_places(sorted(LESSONS.glob("[0-9][0-9]_*.py"))))
    return {"text/html": shown._repr_html_(), "text/plain": str(shown)}
