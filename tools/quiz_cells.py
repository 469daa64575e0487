"""What a built notebook stores for a quiz cell: the version that needs no kernel.

It is made from the bank at every build, so that a changed question executes no lesson.
"""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path

from lesson_source import QUIZ, LessonError, tags
from nbformat.v4 import new_output

from course_utils.quiz.bank import find, load_banks, questions_of
from course_utils.quiz.draw import draw
from course_utils.quiz.panel import progress
from course_utils.quiz.progress import Progress
from course_utils.quiz.static import static_cards, static_html


def fill_quiz_cells(notebook) -> None:
    """Put the static quiz into every quiz cell of the notebook.

    Raises LessonError: a cell names a question or a lesson that the bank does not have.
    """
    for cell in notebook.cells:
        if QUIZ in tags(cell):
            cell.outputs = [static_output(cell)]


def static_output(cell):
    """The output of one quiz cell."""
    call = ast.parse(cell.source).body[-1].value
    try:
        data = _of_nobody() if call.func.id == "progress" else {"text/html": _asked(call)}
    except KeyError as error:
        raise LessonError(f"quiz cell {cell.source.splitlines()[-1]!r}: {error.args[0]}") from error
    return new_output("display_data", data=data)


def _asked(call: ast.Call) -> str:
    if call.func.id == "final_quiz":
        return static_html(draw(questions_of(load_banks()), n=10, seed=0), "Final quiz")
    questions, title = find(call.args[0].value, load_banks())
    if call.func.id == "recap":
        return static_cards(questions, title.replace("Quiz", "Recap"))
    return static_html(questions, title)


def _of_nobody() -> dict[str, str]:
    """The progress panel of someone who has not begun."""
    with tempfile.TemporaryDirectory() as folder:
        panel = progress(Progress(Path(folder, "progress.json")))
        return {"text/html": panel._repr_html_(), "text/plain": str(panel)}
