"""For an exercise: ``check("freeze_backbone", freeze_backbone)``, `hint`, `solution`."""

from __future__ import annotations

from collections.abc import Callable

from course_utils.store.messages import nearest
from courseware.bank.exercises import Exercise, load_exercises
from courseware.exercises.examine import SECONDS, examine
from courseware.exercises.report import Shown, show
from courseware.progress.store import Progress, my_progress


def check(
    name: str, function: Callable, *, seconds: float = SECONDS, progress: Progress | None = None
) -> None:
    """Try a learner's function on several families of networks, and show what held.

    A function that is not filled in yet is no try. The session stays as it was: random numbers,
    gradient mode, standard output.

    Parameters
    ----------
    name : of the exercise
    function : the learner's, itself
    seconds : after which it is stopped. Off the main thread there is no limit: see
        `limits.call_within`
    progress : where the try is kept; by default the learner's own

    Raises
    ------
    ValueError : there is no such exercise (the message names the nearest), or no time
    """
    exercise = _find(name)
    if not seconds > 0:
        raise ValueError(f"got seconds={seconds!r}; expected a number above 0")
    report = examine(exercise, function, seconds)
    if report.rows:  # it was called, and did not say that it is still to be written
        progress = progress or my_progress()
        progress.exercise(name, tried=True, solved=report.status == "solved")
        report.warning = progress.warning
    show(report)


def hint(name: str, *, progress: Progress | None = None) -> None:
    """Show the next hint of an exercise, below those that were taken before.

    Raises
    ------
    ValueError : there is no such exercise
    """
    exercise, progress = _find(name), progress or my_progress()
    taken = _known(name, progress).get("hints", 0)
    number = min(taken + 1, len(exercise.hints))
    progress.exercise(name, hints=number)
    blocks = [("text", _numbered(exercise.hints[:number]))]
    if number == len(exercise.hints):
        blocks.append(("text", f'There are no more. After a try, `solution("{name}")` shows one.'))
    _show(f"Hint {number} of {len(exercise.hints)} for {name}", blocks, progress)


def solution(name: str, *, progress: Progress | None = None) -> None:
    """Show a solution of an exercise and why it is right. The exercise must have been tried.

    Raises
    ------
    ValueError : there is no such exercise
    """
    exercise, progress = _find(name), progress or my_progress()
    if not _known(name, progress).get("tries"):
        told = f'Fill in `{name}` and run its check, or take a hint: `hint("{name}")`.'
        _show(f"Try {name} first.", [("text", told)], progress)
        return
    progress.exercise(name, seen=True)
    blocks = [("code", exercise.solution.code), ("text", _numbered(exercise.solution.steps))]
    _show(f"One solution of {name}", blocks, progress)


def _numbered(texts: list[str]) -> str:
    return "\n".join(f"{n}. {text}" for n, text in enumerate(texts, 1))


def _known(name: str, progress: Progress) -> dict:
    return progress.read()["exercises"].get(name, {})


def _show(head: str, blocks: list[tuple[str, str]], progress: Progress) -> None:
    warning = [("note", f"▲ {progress.warning}")] if progress.warning else []
    show(Shown(head, blocks + warning))


def _find(name: str) -> Exercise:
    exercises = load_exercises()
    if name in exercises:
        return exercises[name]
    told = nearest(name, exercises) or f"There are: {', '.join(exercises)}."
    raise ValueError(f"no exercise called {name!r}. {told}")
