"""The bank of questions: data/quizzes/NN_topic.yaml, read and checked."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path

import yaml
from pydantic import ValidationError

from course_utils.store.folders import data_dir
from courseware.bank.schema import Bank, Question


class BankError(Exception):
    """A question bank that cannot be used: which file, which question or line, which field."""


class _Loader(yaml.SafeLoader):
    """YAML without surprises: a key that stands twice is an error, not the last one's win."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_bank(path: Path) -> Bank:
    """The questions of one file.

    Raises
    ------
    BankError : the file is no YAML (with its line), or a question breaks a rule (with its id and
        the field)
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BankError(f"{path.name}{line}: {error.problem}") from error
    try:
        bank = Bank.model_validate(content)
    except ValidationError as error:
        told = "\n".join(_told(path, content, e) for e in error.errors())
        raise BankError(told) from error
    if bank.lesson != path.stem:
        raise BankError(f"{path.name}: lesson is {bank.lesson}, the file's name says {path.stem}")
    return bank


def _told(path: Path, content, error: dict) -> str:
    """One pydantic error as file, question, field, what is wrong, and what was given."""
    place, where = list(error["loc"]), ""
    if place[:1] == ["questions"] and len(place) > 1 and isinstance(place[1], int):
        question = content["questions"][place[1]]
        ident = question.get("id") if isinstance(question, dict) else None
        where = f", question {ident or 'number ' + str(place[1] + 1)}"
        place = place[3:]  # without the list, the number, and the type that pydantic puts there
    field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    message = error["msg"].removeprefix("Value error, ")
    given = error["input"]
    shown = f" (given: {given!r:.60})" if isinstance(given, str | int | float) else ""
    return f"{path.name}{where}{', field ' + field if field else ''}: {message}{shown}"


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
    near = difflib.get_close_matches(name, known, 3, 0.5)
    told = f"Did you mean {', '.join(near)}?" if near else f"Lessons are: {', '.join(lessons)}."
    raise KeyError(f"no question or lesson called {name!r}. {told}")
