"""Try a learner's function on every family of its trial, and make a report of what held."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from course_utils.exercises.attempt import (
    Attempt,
    LearnerError,
    Unsolved,
    is_blank,
    undisturbed,
)
from course_utils.exercises.limits import Stopped
from course_utils.exercises.on_features import EXTRACT_FEATURES
from course_utils.exercises.on_flags import FREEZE_BACKBONE, TRAIN_ONLY
from course_utils.exercises.on_heads import REPLACE_HEAD
from course_utils.exercises.on_loading import TOP_K
from course_utils.exercises.on_training import FREEZE_STAGE, PREPARE
from course_utils.exercises.report import Report, Row
from course_utils.exercises.store import Exercise
from course_utils.exercises.trial import Mistake, Trial

SECONDS = 20.0
TRIALS = {
    "top_k": TOP_K,
    "prepare": PREPARE,
    "freeze_stage": FREEZE_STAGE,
    "train_only": TRAIN_ONLY,
    "freeze_backbone": FREEZE_BACKBONE,
    "replace_head": REPLACE_HEAD,
    "extract_features": EXTRACT_FEATURES,
}


def examine(exercise: Exercise, function: Callable, seconds: float = SECONDS) -> Report:
    """The report that `check` shows; nothing is shown or kept.

    An exception in the learner's code, or the end of the time, ends the trial. Any other mistake
    ends it for its family only. Of several mistakes the one is told that the exercise lists first.
    """
    said = _cannot_be_called(exercise, function)
    if said:
        return Report(exercise.name, "error", said=said)
    if is_blank(function):
        return Report(exercise.name, "your turn")
    trial, attempt = TRIALS[exercise.name], Attempt(function, seconds)
    report = Report(exercise.name, "solved", trial.aspects, printed=attempt.printed)
    found: list[tuple[str, Mistake]] = []
    with undisturbed():
        for family in trial.families:
            marks = ["–"] * len(trial.aspects)
            if report.status == "solved":
                _try_family(trial, attempt, family, marks, report, found)
            report.rows.append(Row(family, tuple(marks)))
    if report.status == "your turn":
        return Report(exercise.name, "your turn")
    if report.status == "stopped":
        report.said = f"It was still running after {seconds:g} s. Does each of its loops end?"
    _diagnose(exercise, report, found)
    return report


def _cannot_be_called(exercise: Exercise, function: Callable) -> str:
    """A sentence where the function cannot even be called as the exercise says."""
    if not callable(function):
        return (
            f'Give check the function itself: check("{exercise.name}", {exercise.name}), without '
            f"brackets behind its name. This is a {type(function).__name__}."
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin may not say what it takes
        return ""
    try:
        for number in exercise.arguments:
            signature.bind(*range(number))
    except TypeError:
        return f"The exercise calls {exercise.call}; your function takes {signature}."
    return ""


def _try_family(
    trial: Trial,
    attempt: Attempt,
    family: str,
    marks: list[str],
    report: Report,
    found: list[tuple[str, Mistake]],
) -> None:
    """Fill in the marks of one family, and what was found on it."""
    try:
        for number, _ in enumerate(trial.examine(attempt, family)):
            marks[number] = "✔"
        return
    except Mistake as mistake:
        found.append((family, mistake))
    except Unsolved:
        report.status = "your turn"
    except Stopped:
        report.status = "stopped"
    except LearnerError as error:
        if not found:  # after a mistake it may be no more than its consequence
            report.status, report.error = "error", error
        found.append((family, Mistake(error.mistake or "")))
    except Exception as error:  # the network came back in a state that nobody thought of
        report.seen = f"{family}: afterwards it cannot be used: {type(error).__name__}: {error}"
        found.append((family, Mistake("")))
    marks[marks.index("–")] = "✘"


def _diagnose(exercise: Exercise, report: Report, found: list[tuple[str, Mistake]]) -> None:
    """Name the mistake that is listed first among those found, with what was seen of it."""
    if found and report.status == "solved":
        report.status = "not yet"
    order = list(exercise.mistakes)
    known = [(order.index(m.ident), family, m) for family, m in found if m.ident]
    if known:
        _, family, mistake = min(known, key=lambda entry: entry[0])
        report.mistake, report.advice = mistake.ident, exercise.mistakes[mistake.ident]
        report.seen = f"{family}: {mistake.seen}" if mistake.seen else ""
