"""What a lesson calls: ``quiz("04-caching")``, ``quiz("04_feature_extraction")``, ``recap(…)``."""

from __future__ import annotations

import difflib

import ipywidgets as widgets
from IPython.display import HTML, display

from course_utils.quiz.bank import find_question, load_banks
from course_utils.quiz.draw import draw
from course_utils.quiz.payload import payload
from course_utils.quiz.progress import Progress
from course_utils.quiz.static import static_html


def quiz(name: str) -> None:
    """Show one question by its id, or a lesson's closing quiz by the lesson's name.

    Answers are graded at once and saved. Without a kernel the notebook shows a static version,
    with hints and solution to unfold.

    Raises
    ------
    KeyError : there is no such question or lesson; the message names the nearest
    """
    questions, title = choose(name)
    _show(questions, title, "quiz")


def recap(name: str) -> None:
    """Show a lesson's questions as cards: the question in front, answer and reason on the back.

    Raises
    ------
    KeyError : there is no such lesson
    """
    bank = next((bank for bank in load_banks() if bank.lesson == name), None)
    if bank is None:
        raise KeyError(f"no lesson {name!r} in the bank; there are: {_lessons()}")
    _show(bank.questions, f"Recap: {bank.title}", "recap")


def final_quiz(n: int = 10, seed: int | None = None) -> None:
    """Show ``n`` questions from the whole bank, from easy to hard, none of them from last time.

    ``seed`` makes the draw repeatable.
    """
    finals = Progress().read()["finals"]
    last = finals[-1]["asked"] if finals else []
    every = [question for bank in load_banks() for question in bank.questions]
    _show(draw(every, last, n=n, seed=seed), "Final quiz", "final")


def choose(name: str) -> tuple[list, str]:
    """The questions that a name means, and a title: see `quiz`."""
    banks = load_banks()
    question = find_question(name, banks)
    if question is not None:
        return [question], question.concept
    for bank in banks:
        if bank.lesson == name:
            return [q for q in bank.questions if not q.inline], f"Quiz: {bank.title}"
    ids = [question.id for bank in banks for question in bank.questions]
    near = difflib.get_close_matches(name, ids + [bank.lesson for bank in banks], 3, 0.5)
    told = f"Did you mean {', '.join(near)}?" if near else f"Lessons are: {_lessons()}."
    raise KeyError(f"no question or lesson called {name!r}. {told}")


def _lessons() -> str:
    return ", ".join(bank.lesson for bank in load_banks())


def _show(questions: list, title: str, mode: str) -> None:
    progress = Progress()
    lessons = {bank.lesson[:2]: bank.lesson for bank in load_banks()}
    payloads = [payload(question, lessons[question.id[:2]]) for question in questions]
    try:
        from course_utils.quiz.widget import QuizWidget
    except ImportError:  # no anywidget here
        from course_utils.quiz.plain import PlainQuestion

        pairs = zip(payloads, questions, strict=True)
        display(widgets.VBox([PlainQuestion(p, q.code, progress) for p, q in pairs]))
        return
    display(HTML(static_html(questions, title)))
    display(QuizWidget(payloads, progress, mode, title))
