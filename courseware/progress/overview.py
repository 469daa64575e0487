"""How far the learner is: what is known, counted against what there is, by lesson and concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """The counts of one lesson or concept. ``right`` is right at the last try."""

    key: str  # 04_feature_extraction, or the concept
    title: str
    answered: int
    right: int
    total: int
    solved: int
    exercises: int
    hints: int


@dataclass(frozen=True)
class Again:
    """A place to go back to: a lesson, its heading (may be empty), what did not go right there."""

    lesson: Row
    section: str
    what: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """Everything the panel shows. ``final`` is the last final quiz: its day, right, asked."""

    lessons: tuple[Row, ...]
    concepts: tuple[Row, ...]
    again: tuple[Again, ...]
    final: tuple[str, int, int] | None
    begun: bool

    def total(self, count: str) -> int:
        """One of `Row`'s counts over all lessons."""
        return sum(getattr(row, count) for row in self.lessons)


def overview(banks: Sequence, exercises: Mapping, progress: dict) -> Overview:
    """Count what is known against what there is.

    Parameters
    ----------
    banks : the question banks, each with ``lesson``, ``title`` and ``questions``
    exercises : by name, each with ``name``, ``lesson`` and ``title``
    progress : what `Progress.read` returns. Questions and exercises that are not in the course
        any more count for nothing.
    """
    names = {
        task.lesson: task.lesson[3:].replace("_", " ").capitalize() for task in exercises.values()
    }
    titles = names | {bank.lesson: bank.title for bank in banks}
    questions = [question for bank in banks for question in bank.questions]
    lessons, again = [], []
    for lesson in sorted(titles):
        asked = [question for question in questions if question.id[:2] == lesson[:2]]
        tasks = [task for task in exercises.values() if task.lesson == lesson]
        row = _row(lesson, f"{int(lesson[:2])} · {titles[lesson]}", asked, tasks, progress)
        lessons.append(row)
        again += _again(row, asked, tasks, progress)
    concepts = []
    for concept in sorted({question.concept for question in questions}):
        asked = [question for question in questions if question.concept == concept]
        concepts.append(_row(concept, concept, asked, [], progress))
    begun = any(progress[group] for group in ("questions", "exercises", "finals"))
    final = _last_final(progress["finals"])
    return Overview(tuple(lessons), tuple(concepts), tuple(again), final, begun)


def _row(key: str, title: str, questions: list, exercises: list, progress: dict) -> Row:
    answers = [progress["questions"].get(question.id, {}) for question in questions]
    tasks = [progress["exercises"].get(exercise.name, {}) for exercise in exercises]
    return Row(
        key,
        title,
        answered=sum("last" in answer for answer in answers),
        right=sum(answer.get("last") == "correct" for answer in answers),
        total=len(questions),
        solved=sum(task.get("solved", False) for task in tasks),
        exercises=len(exercises),
        hints=sum(entry.get("hints", 0) for entry in answers + tasks),
    )


def _again(row: Row, questions: list, exercises: list, progress: dict) -> list[Again]:
    """What was not right at the last try, by section; then what was tried and is not solved."""
    sections: dict[str, list[str]] = {}
    for question in questions:
        if progress["questions"].get(question.id, {}).get("last", "correct") != "correct":
            sections.setdefault(question.section, []).append(question.concept)
    found = [Again(row, section, tuple(dict.fromkeys(c))) for section, c in sections.items()]
    for exercise in exercises:
        task = progress["exercises"].get(exercise.name, {})
        if task.get("tries") and not task["solved"]:
            found.append(Again(row, "", (f"exercise {exercise.name}",)))
    return found


def _last_final(finals: list) -> tuple[str, int, int] | None:
    if not finals:
        return None
    scores = [finals[-1]["scores"].get(question, 0) for question in finals[-1]["asked"]]
    return finals[-1]["when"][:10], sum(score >= 1 for score in scores), len(scores)
