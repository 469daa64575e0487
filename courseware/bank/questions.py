"""The bank of questions: data/quizzes/NN_topic.yaml, read and checked."""

from __future__ import annotations

import functools
from pathlib import Path

from course_utils.store.folders import data_dir
from course_utils.store.messages import nearest
from courseware.bank.reading import BankError, read
from courseware.bank.schema import Bank, Question


def read_bank(path: Path) -> Bank:
    """The questions of one file.

    Raises
    ------
    BankError : see `reading.read`; or it says that it belongs to another lesson
    """
    bank = read(path, Bank)
    if bank.lesson != path.stem:
        raise BankError(f"{path.name}: lesson is {bank.lesson}, the file's name says {path.stem}")
    return bank


@functools.cache
def load_banks(folder: Path | None = None) -> list[Bank]:
    """All banks in the order of their lessons, read once.

    Raises
    ------
    BankError : see `read_bank`
    """
    paths = sorted((folder or data_dir() / "quizzes").glob("[0-9][0-9]_*.yaml"))
    return [read_bank(path) for path in paths]


def questions_of(banks: list[Bank]) -> list[Question]:
    """All questions, lesson after lesson."""
    return [question for bank in banks for question in bank.questions]


def find(name: str, banks: list[Bank]) -> tuple[list[Question], str]:
    """The questions that a name means, and a title for them.

    The name is a question's id, or a lesson's name for its closing quiz (all questions that do not
    stand inside the lesson).

    Raises
    ------
    KeyError : there is no such question or lesson; the message names the nearest
    """
    for question in questions_of(banks):
        if question.id == name:
            return [question], question.concept
    for bank in banks:
        if bank.lesson == name:
            return [q for q in bank.questions if not q.inline], f"Quiz: {bank.title}"
    lessons = [bank.lesson for bank in banks]
    known = [question.id for question in questions_of(banks)] + lessons
    told = nearest(name, known) or f"Lessons are: {', '.join(lessons)}."
    raise KeyError(f"no question or lesson called {name!r}. {told}")
