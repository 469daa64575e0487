"""The text of the exercises: data/exercises/NAME.yaml, read and checked. Needs no torch.

What is tried on a learner's function stands in code, beside this file; what is said stands there.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from course_utils.store.folders import data_dir
from courseware.bank.reading import BankError, read
from courseware.bank.schema import Ident, Part, Text, Texts, unique


class Solution(Part):
    """One right answer: the function as in the lesson, and why it is right, step by step."""

    code: Text
    steps: Texts


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
    def _arguments(self) -> ast.arguments:
        function = _function(self.solution.code, self.name)
        assert function is not None  # the schema saw to it
        return function.args

    @property
    def call(self) -> str:
        """How the function is called, as ``top_k(model, weights, image, k=5)``."""
        return f"{self.name}({ast.unparse(self._arguments)})"

    @property
    def arguments(self) -> tuple[int, int]:
        """How many positional arguments it takes: at least, and at most."""
        arguments = self._arguments
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
        unique([mutant.name for mutant in self.mutants], "mutants")
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
    BankError : see `reading.read`; or it has another name than its file
    """
    exercise = read(path, Exercise)
    if exercise.name != path.stem:
        raise BankError(
            f"{path.name}, field name: it says {exercise.name}, the file's name says {path.stem}"
        )
    return exercise


@functools.cache
def load_exercises(folder: Path | None = None) -> dict[str, Exercise]:
    """All exercises by name, lesson after lesson; read once.

    Raises
    ------
    BankError : see `read_exercise`
    """
    paths = sorted((folder or data_dir() / "exercises").glob("*.yaml"))
    exercises = sorted(map(read_exercise, paths), key=lambda exercise: exercise.lesson)
    return {exercise.name: exercise for exercise in exercises}
