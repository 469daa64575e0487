"""A lesson's source (lessons/NN_topic.py): read, and held to the rules of its format.

The source format is jupytext's py:percent (https://jupytext.readthedocs.io/en/latest/formats-scripts.html).
What each tag means is told in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import copy
import functools
import re
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jupytext

from courseware.stepper.source import TITLE
from tools.builder.headings import heading_problem, sections

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 15
PHOTOS, CHECKED, EXERCISE, SELF_CHECK = (
    "shows-photos",
    "nbval-check-output",
    "exercise",
    "self-check",
)
QUIZ, DIAL, STEPPER, BUG = "quiz", "dial", "stepper", "bug"
TAGS = {"bootstrap", "setup", "parameters", "place", PHOTOS, CHECKED, EXERCISE, SELF_CHECK}
TAGS |= {QUIZ, DIAL, STEPPER, BUG}
# The one line that shows while such a cell is folded.
FIRST_LINES = {DIAL: "# Dial: ", STEPPER: "# Step through: "}
STEPPED = f"# {TITLE} "  # first line of the cell with the function to step through; folded, too
START, END = "# solution", "# end solution"
_QUIZ_CALL = re.compile(
    r'^((quiz|recap)\("[\w-]+"\)|final_quiz\(\w*\)|(progress|ways)\(\))\s*\Z', re.MULTILINE
)


class LessonError(Exception):
    """A lesson that cannot be built: which lesson, which cell, and what to change."""


@dataclass(frozen=True)
class Course:
    """Where the course is published: ``repository`` is OWNER/NAME, ``ref`` a branch or tag."""

    repository: str
    ref: str


def read_course(pyproject: Path = ROOT / "pyproject.toml") -> Course:
    """The ``[tool.course]`` table, the one place that names the repository."""
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["course"]
    return Course(table["repository"], table["ref"])


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def lesson_sections(cells) -> list[str]:
    """The `##` headings of all cells, in order."""
    return [h for cell in cells if cell.cell_type == "markdown" for h in sections(cell.source)]


def quiz_call(cell) -> ast.Call:
    """What a quiz cell ends on."""
    return ast.parse(cell.source).body[-1].value


def read_cells(path: Path) -> list:
    """The cells of a lesson as written, solutions and places included; the caller's to change.

    Raises LessonError: a cell breaks one of the format's rules.
    """
    return copy.deepcopy(_parsed(path.name, path.read_text(encoding="utf-8")))


@functools.cache  # a build asks several times: for the notebook, for the index of the ways
def _parsed(name: str, text: str) -> list:
    cells = jupytext.reads(text, fmt="py:percent").cells
    for number, cell in enumerate(cells, start=1):
        problem = _cell_problem(cell)
        if problem:
            first = (cell.source.strip().splitlines() or ["(empty)"])[0]
            raise LessonError(f"{name}, cell {number} ({first[:60]!r}): {problem}")
    problem = _lesson_problem(cells)
    if problem:
        raise LessonError(f"{name}: {problem}")
    return cells


def _cell_problem(cell) -> str:
    unknown = tags(cell) - TAGS
    if unknown:
        return f"unknown tag {sorted(unknown)}, the course knows {sorted(TAGS)}"
    pictures = sorted({PHOTOS, DIAL, STEPPER} & tags(cell))
    if pictures and not str(cell.metadata.get("alt", "")).strip():
        return f'a {pictures[0]} cell needs alt="what the picture shows" on its # %% line'
    if cell.cell_type != "code":
        return ""
    try:
        lines = len(cut_solution(cell.source).splitlines())
    except ValueError as error:
        return str(error)
    if lines > MAX_LINES:
        return f"{lines} lines of code, at most {MAX_LINES} fit one idea: split the cell"
    if QUIZ in tags(cell) and not _QUIZ_CALL.search(cell.source):
        return 'a quiz cell ends on quiz("…"), recap("…"), final_quiz(), progress() or ways()'
    for tag, beginning in FIRST_LINES.items():
        if tag in tags(cell) and not re.match(beginning + r"\S", cell.source):
            return f"a {tag} cell begins with a line '{beginning}what it shows'"
    if EXERCISE in tags(cell) and solution(cell.source) == cell.source:
        return f"an exercise needs its solution between '{START}' and '{END}'"
    if EXERCISE not in tags(cell) and solution(cell.source) != cell.source:
        return f'solution markers outside a cell with tags=["{EXERCISE}"]'
    return ""


def _lesson_problem(cells) -> str:
    first = cells[0].source if cells else ""
    if not first.startswith("# ") or "<!-- badges -->" not in first.splitlines():
        return "the first cell must be markdown with a # title and a line <!-- badges -->"
    for tag in ("bootstrap", "parameters"):
        if sum(tag in tags(cell) for cell in cells) != 1:
            return f'it needs exactly one cell with tags=["{tag}"]'
    problem = heading_problem(lesson_sections(cells)) or _stepper_problem(cells)
    if problem:
        return problem
    waiting = False
    for cell in cells:
        if waiting and EXERCISE in tags(cell):
            return "an exercise has no self-check cell before the next exercise"
        waiting = EXERCISE in tags(cell) or (waiting and SELF_CHECK not in tags(cell))
    return "an exercise has no self-check cell after it" if waiting else ""


def _stepper_problem(cells) -> str:
    """Where a function to step through and its stepper do not stand together, titled the same."""
    for before, cell in pairwise(cells):
        lines, steps = (part.source.partition("\n")[0] for part in (before, cell))
        agree = steps == lines.replace(STEPPED, FIRST_LINES[STEPPER], 1)
        if not agree and (STEPPER in tags(cell) or lines.startswith(STEPPED)):
            return (
                f"the stepper {steps!r} must follow a cell that begins '{STEPPED}…' with the same "
                f"title, directly; it follows {lines!r}"
            )
    return ""


def cut_solution(source: str) -> str:
    """An exercise as the learner gets it: each solution block replaced by one line to fill in.

    Raises ValueError: a marker without its partner.
    """
    kept, inside = [], False
    for line in source.splitlines():
        if line.strip() in (START, END):
            if inside == (line.strip() == START):
                raise ValueError(f"'{START}' and '{END}' must come in pairs")
            inside = not inside
            if inside:
                indent = line[: len(line) - len(line.lstrip())]
                kept.append(f"{indent}...  # your code here")
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError(f"'{START}' without '{END}'")
    return "\n".join(kept)


def solution(source: str) -> str:
    """An exercise with its solution in place, without the marker lines."""
    return "\n".join(line for line in source.splitlines() if line.strip() not in (START, END))
