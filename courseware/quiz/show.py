"""What a lesson calls: ``quiz("04-caching")``, ``quiz("04_feature_extraction")``, ``recap(…)``."""

from __future__ import annotations

import ipywidgets as widgets
from IPython.display import HTML, display

from courseware.bank.questions import find, load_banks, questions_of
from courseware.progress.store import Progress, my_progress
from courseware.quiz.draw import draw
from courseware.quiz.payload import payload
from courseware.quiz.static import static_cards, static_html


def quiz(name: str) -> None:
    """Show one question by its id, or a lesson's closing quiz by the lesson's name.

    Answers are graded at once and saved. Without a kernel the notebook shows a static version,
    with hints and solution to unfold.

    Raises
    ------
    KeyError : there is no such question or lesson; the message names the nearest
    """
    questions, title = find(name, load_banks())
    _show(questions, title, "quiz", static_html(questions, title))


def recap(name: str) -> None:
    """Show a lesson's closing questions as cards: the question in front, its answer on the back.

    Raises
    ------
    KeyError : there is no such lesson
    """
    questions, title = find(name, load_banks())
    title = title.replace("Quiz", "Recap")
    _show(questions, title, "recap", static_cards(questions, title))


def final_quiz(n: int = 10, progress: Progress | None = None) -> None:
    """Show ``n`` questions from the whole bank, from easy to hard, none of them from last time.

    The draw changes with every final quiz that was finished; until then it stays the same, so that
    nothing is lost when the cell runs again.
    """
    progress = progress or my_progress()
    finals = progress.read()["finals"]
    last = finals[-1]["asked"] if finals else []
    questions = draw(questions_of(load_banks()), last, n=n, seed=len(finals))
    _show(questions, "Final quiz", "final", static_html(questions, "Final quiz"), progress)


def _show(
    questions: list, title: str, mode: str, static: str, progress: Progress | None = None
) -> None:
    progress = progress or my_progress()
    lessons = {bank.lesson[:2]: bank.lesson for bank in load_banks()}
    payloads = [payload(question, lessons[question.id[:2]]) for question in questions]
    try:
        from courseware.quiz.widget import QuizWidget
    except ImportError:  # no anywidget here
        from courseware.quiz.plain import PlainQuestion

        pairs = zip(payloads, questions, strict=True)
        display(widgets.VBox([PlainQuestion(p, q.code, progress) for p, q in pairs]))
        return
    display(HTML(static))
    display(QuizWidget(payloads, progress, mode, title))
