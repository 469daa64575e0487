"""A YAML file of the bank against its schema. What is wrong with it is told in one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class BankError(Exception):
    """A file of the bank that cannot be used: which file, which question or line, and why."""


class _Loader(yaml.SafeLoader):
    """YAML without surprises: a key that stands twice is an error, not the last one's win."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no field's name; the schema will say so
            if (key.tag, key.value) in seen:
                problem = f"{key.value} twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def read(path: Path, model: type[Model]) -> Model:
    """What a file holds, as ``model`` has it.

    Raises
    ------
    BankError : the file is no YAML (with its line), or a field breaks a rule
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise BankError(f"{path.name}: byte {error.start} is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BankError(f"{path.name}{line}: {error.problem}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise BankError(f"{path.name}: {' '.join(str(error).split())}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        told = (_told(content, e) for e in error.errors())
        raise BankError("\n".join(path.name + line for line in told)) from error


def _told(content, error: Mapping) -> str:
    """One pydantic error: question, field, what is wrong, and what was given."""
    given = error["input"]
    shown = f" (given: {given!r:.60})" if isinstance(given, str | int | float) else ""
    return f"{_place(content, error['loc'])}: {error['msg'].removeprefix('Value error, ')}{shown}"


def _place(content, steps: tuple) -> str:
    """Where something stands: the question by its id, and the field."""
    question, field = "", ""
    for number, step in enumerate(steps):
        if number == 1 and steps[0] == "questions":
            content = content[step]
            ident = content.get("id") if isinstance(content, dict) else None
            question, field = f", question {ident or f'number {step + 1}'}", ""
        elif number == 2 and question:
            continue  # the type of the question, which pydantic puts there
        else:
            field += f"[{step}]" if isinstance(step, int) else f".{step}"
            content = content.get(step) if isinstance(content, dict) else content
    return question + (f", field {field.lstrip('.')}" if field else "")
