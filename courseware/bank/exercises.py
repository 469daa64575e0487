"""The text of the exercises: data/exercises/NAME.yaml, read and checked. Needs no torch.

What is tried on a learner's function stands in code, beside this file; what is said stands there.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from course_utils.store.folders import data_dir

Text = Annotated[str, Field(min_length=1)]
Ident = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class ExerciseError(Exception):
    """An exercise's file that cannot be used: which file, which field or line, and why."""


class Part(BaseModel):
    """A piece of an exercise. A field that the schema does not know is a mistake, not an extra."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Solution(Part):
    """One right answer: the function as in the lesson, and why it is right, step by step."""

    code: Text
    steps: Annotated[list[Text], Field(min_length=1)]


class Mutant(Part):
    """A wrong answer that a check must reject with the text of ``mistake``."""

    name: Ident
    mistake: Ident
    code: Text


class Exercise(Part):
    """One exercise. ``mistakes`` says for each recognised mistake what went wrong and which idea
    to think over; where several are found, the one that stands first is told."""

    name: Annotated[str, Field(pattern=r"^[a-z]+(_[a-z]+)*$")]
    lesson: Annotated[str, Field(pattern=r"^\d\d_\w+$")]
    section: Text  # the heading of the lesson that it stands under
    title: Text
    concept: Text
    hints: Annotated[list[Text], Field(min_length=2)]  # from general to near
    mistakes: Annotated[dict[Ident, Text], Field(min_length=1)]
    solution: Solution
    mutants: Annotated[list[Mutant], Field(min_length=5)]

    @property
    def call(self) -> str:
        """How the function is called, as ``top_k(model, weights, image, k=5)``."""
        return f"{self.name}({ast.unparse(_function(self.solution.code, self.name).args)})"

    @property
    def arguments(self) -> tuple[int, int]:
        """How many positional arguments it takes: at least, and at most."""
        arguments = _function(self.solution.code, self.name).args
        return len(arguments.args) - len(arguments.defaults), len(arguments.args)

    @model_validator(mode="after")
    def _code_defines_the_function(self):
        for place, code in [
            ("solution", self.solution.code),
            *((f"mutant {mutant.name}", mutant.code) for mutant in self.mutants),
        ]:
            try:
                found = _function(code, self.name)
            except SyntaxError as error:
                raise ValueError(f"{place}: line {error.lineno} of its code: {error.msg}") from None
            if found is None:
                raise ValueError(f"{place}: its code defines no function {self.name}")
        return self

    @model_validator(mode="after")
    def _every_mistake_has_its_mutant(self):
        names = [mutant.name for mutant in self.mutants]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"mutants: {double[0]} is there twice")
        made = {mutant.mistake for mutant in self.mutants}
        if made - set(self.mistakes):
            raise ValueError(f"mutants: no text for {sorted(made - set(self.mistakes))}")
        if set(self.mistakes) - made:
            raise ValueError(f"mistakes: no mutant makes {sorted(set(self.mistakes) - made)}")
        return self


def _function(code: str, name: str) -> ast.FunctionDef | None:
    functions = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    return next((node for node in functions if node.name == name), None)


def read_exercise(path: Path) -> Exercise:
    """The exercise of one file.

    Raises
    ------
    ExerciseError : the file is no YAML (with its line), or a field breaks a rule
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ExerciseError(f"{path.name}{line}: {error.problem}") from error
    try:
        exercise = Exercise.model_validate(content)
    except ValidationError as error:
        raise ExerciseError("\n".join(_told(path, e) for e in error.errors())) from error
    if exercise.name != path.stem:
        raise ExerciseError(
            f"{path.name}, field name: it says {exercise.name}, the file's name says {path.stem}"
        )
    return exercise


def _told(path: Path, error: dict) -> str:
    """One pydantic error as file, field, what is wrong, and what was given."""
    places = (f"[{place}]" if isinstance(place, int) else f".{place}" for place in error["loc"])
    field = "".join(places).lstrip(".")
    given = error["input"]
    shown = f" (given: {given!r:.60})" if isinstance(given, str | int | float) else ""
    message = error["msg"].removeprefix("Value error, ")
    return f"{path.name}{', field ' + field if field else ''}: {message}{shown}"


@functools.cache
def load_exercises(folder: Path | None = None) -> dict[str, Exercise]:
    """All exercises by name, lesson after lesson; read once.

    Raises
    ------
    ExerciseError : see `read_exercise`
    """
    paths = sorted((folder or data_dir() / "exercises").glob("*.yaml"))
    exercises = sorted(map(read_exercise, paths), key=lambda exercise: exercise.lesson)
    return {exercise.name: exercise for exercise in exercises}
