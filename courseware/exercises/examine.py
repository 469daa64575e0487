"""Try a learner's function on every family of its trial, and make a report of what held."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from courseware.bank.exercises import Exercise
from courseware.exercises.attempt import (
    Attempt,
    LearnerError,
    Mistake,
    Unsolved,
    is_blank,
    names_of,
)
from courseware.exercises.on_adapters import ADD_LOW_RANK
from courseware.exercises.on_batchnorm import SET_TRAIN_MODE
from courseware.exercises.on_evaluation import EVALUATE
from courseware.exercises.on_features import EXTRACT_FEATURES
from courseware.exercises.on_flags import FREEZE_BACKBONE, TRAIN_ONLY
from courseware.exercises.on_groups import PARAM_GROUPS
from courseware.exercises.on_heads import REPLACE_HEAD
from courseware.exercises.on_loading import TOP_K
from courseware.exercises.on_recalibration import RECALIBRATE_BATCHNORM
from courseware.exercises.on_statistics import CHOOSE_AND_REPORT, PAIRED_INTERVAL
from courseware.exercises.on_training import FREEZE_STAGE, PREPARE
from courseware.exercises.on_unfreezing import GRADUAL_UNFREEZE
from courseware.exercises.report import Report, Row
from courseware.exercises.session import undisturbed
from courseware.exercises.trial import Trial
from courseware.limits import Stopped

SECONDS = 20.0
TRIALS = {
    "top_k": TOP_K,
    "prepare": PREPARE,
    "freeze_stage": FREEZE_STAGE,
    "train_only": TRAIN_ONLY,
    "freeze_backbone": FREEZE_BACKBONE,
    "replace_head": REPLACE_HEAD,
    "extract_features": EXTRACT_FEATURES,
    "param_groups": PARAM_GROUPS,
    "gradual_unfreeze": GRADUAL_UNFREEZE,
    "set_train_mode": SET_TRAIN_MODE,
    "recalibrate_batchnorm": RECALIBRATE_BATCHNORM,
    "choose_and_report": CHOOSE_AND_REPORT,
    "paired_interval": PAIRED_INTERVAL,
    "evaluate": EVALUATE,
    "add_low_rank": ADD_LOW_RANK,
}


def examine(exercise: Exercise, function: Callable, seconds: float = SECONDS) -> Report:
    """The report that `check` shows; nothing is shown or kept.

    An exception in the learner's code, or the end of the time, ends the trial. Any other mistake
    ends it for its family only. Of several mistakes the one is told that the exercise lists first.
    """
    attempt = Attempt(function, seconds)
    with undisturbed(names_of(function)):
        try:
            report = attempt.watch(lambda: _before_any_call(exercise, function))
        except (Mistake, Stopped):
            said = f"Give check a function made with def; this is a {type(function).__name__}."
            report = Report(exercise.name, "error", said=said)
        report = report or _Run(TRIALS[exercise.name], attempt).report(exercise)
    if report.status == "stopped":
        what = (
            "What it returned was still being read" if attempt.reading else "It was still running"
        )
        report.said = f"{what} after {seconds:g} s. Does each of its loops end?"
    return report


def _before_any_call(exercise: Exercise, function: Callable) -> Report | None:
    """What is to be said without calling the function, if anything is."""
    if said := _cannot_be_called(exercise, function):
        return Report(exercise.name, "error", said=said)
    return Report(exercise.name, "your turn") if is_blank(function) else None


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


class _Run:
    """One run of a trial: ``rows`` of marks, and the mistakes ``found`` with their families."""

    def __init__(self, trial: Trial, attempt: Attempt) -> None:
        self.trial, self.attempt = trial, attempt
        self.status, self.seen = "solved", ""
        self.error: LearnerError | None = None
        self.rows: list[Row] = []
        self.found: list[tuple[str, Mistake]] = []
        for family in trial.families:
            self._family(family)

    def _family(self, family: str) -> None:
        marks = ["–"] * len(self.trial.aspects)

        def examine() -> None:
            for number, _ in enumerate(self.trial.examine(self.attempt, family)):
                marks[number] = "✔"

        if self.status in ("solved", "not yet"):
            try:
                self.attempt.watch(examine)
            except (Unsolved, Mistake, LearnerError) as error:
                marks[marks.index("–")] = "✘"
                self._failed(family, error)
            except Stopped:
                marks[marks.index("–")] = "✘"
                self.status = "stopped"
        self.rows.append(Row(family, tuple(marks)))

    def _failed(self, family: str, error: Unsolved | Mistake | LearnerError) -> None:
        if isinstance(error, Unsolved):
            self.status = "your turn"
            return
        if isinstance(error, LearnerError):
            if not self.found:  # after a mistake it may be no more than its consequence
                self.status, self.error = "error", error
            error = Mistake(error.mistake or "")
        if not error.ident and error.seen:
            self.seen = self.seen or f"{family}: {error.seen}"
        if self.status == "solved":
            self.status = "not yet"
        self.found.append((family, error))

    def report(self, exercise: Exercise) -> Report:
        """What there is to show. Of several mistakes the one that the exercise lists first."""
        if self.status == "your turn":
            return Report(exercise.name, "your turn")
        report = Report(
            exercise.name,
            self.status,
            self.trial.aspects,
            self.rows,
            seen=self.seen,
            error=self.error,
            printed=self.attempt.printed,
            calls=self.attempt.calls,
        )
        order = list(exercise.mistakes)
        known = [(order.index(m.ident), family, m) for family, m in self.found if m.ident]
        if known:
            _, family, mistake = min(known, key=lambda entry: entry[0])
            report.mistake, report.advice = mistake.ident, exercise.mistakes[mistake.ident]
            report.seen = f"{family}: {mistake.seen}" if mistake.seen else ""
        return report
