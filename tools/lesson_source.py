"""From a lesson's source (lessons/NN_topic.py) to a notebook without outputs.

The source format is jupytext's py:percent (https://jupytext.readthedocs.io/en/latest/formats-scripts.html).
What each tag means is told in CONTRIBUTING.md.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 15
PHOTOS, CHECKED, EXERCISE, SELF_CHECK = (
    "shows-photos",
    "nbval-check-output",
    "exercise",
    "self-check",
)
QUIZ, DIAL, STEPPER = "quiz", "dial", "stepper"
TAGS = {"bootstrap", "setup", "parameters", "place", PHOTOS, CHECKED, EXERCISE, SELF_CHECK}
TAGS |= {QUIZ, DIAL, STEPPER}
# The one line that shows while such a cell is folded.
FIRST_LINES = {DIAL: "# Dial: ", STEPPER: "# Step through: "}
START, END = "# solution", "# end solution"
_QUIZ_CALL = re.compile(
    r'^((quiz|recap)\("[\w-]+"\)|final_quiz\(\w*\)|progress\(\))\s*\Z', re.MULTILINE
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


def launch_badges(course: Course, stem: str) -> str:
    """The Colab and Binder badges of one lesson, as one line of markdown."""
    notebook = f"notebooks/{stem}.ipynb"
    colab = f"https://colab.research.google.com/github/{course.repository}/blob/{course.ref}"
    binder = f"https://mybinder.org/v2/gh/{course.repository}/{course.ref}?urlpath=lab/tree"
    return (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"({colab}/{notebook}) "
        "[![Open in Binder](https://mybinder.org/badge_logo.svg)]"
        f"({binder}/{notebook})"
    )


def bootstrap(course: Course) -> str:
    """The first code cell, the same in every lesson. Colab has torch and ipywidgets already:
    ``--no-deps`` leaves them as they are, and the small packages bring no large ones along."""
    archive = f"https://github.com/{course.repository}/archive/{course.ref}.zip"
    return "\n".join(
        [
            "# Colab only: fetch the course",  # all that shows while the cell is folded
            "import subprocess",
            "import sys",
            "",
            'if "google.colab" in sys.modules:',
            '    pip = [sys.executable, "-m", "pip", "install", "--quiet"]',
            f'    course = "{archive}"',
            '    subprocess.run([*pip, "--no-deps", course], check=True)',
            '    small = ["pooch", "filelock", "platformdirs", "pydantic", "anywidget"]',
            '    text = ["markdown-it-py", "mdit-py-plugins", "latex2mathml"]',
            "    subprocess.run([*pip, *small, *text], check=True)",
        ]
    )


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def read_cells(path: Path) -> list:
    """The cells of a lesson as written, solutions and places included.

    Raises LessonError: a cell breaks one of the format's rules.
    """
    cells = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent").cells
    for number, cell in enumerate(cells, start=1):
        problem = _cell_problem(cell)
        if problem:
            first = (cell.source.strip().splitlines() or ["(empty)"])[0]
            raise LessonError(f"{path.name}, cell {number} ({first[:60]!r}): {problem}")
    problem = _lesson_problem(cells)
    if problem:
        raise LessonError(f"{path.name}: {problem}")
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
        return 'a quiz cell ends on quiz("…"), recap("…"), final_quiz() or progress()'
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
    waiting = False
    for cell in cells:
        if waiting and EXERCISE in tags(cell):
            return "an exercise has no self-check cell before the next exercise"
        waiting = EXERCISE in tags(cell) or (waiting and SELF_CHECK not in tags(cell))
    return "an exercise has no self-check cell after it" if waiting else ""


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


def learner_cells(path: Path) -> list:
    """What the learner's notebook is made of: exercises cut, places left out."""
    cells = [cell for cell in read_cells(path) if "place" not in tags(cell)]
    for cell in cells:
        if EXERCISE in tags(cell):
            cell.source = cut_solution(cell.source)
    return cells


def lesson_with_solutions(path: Path):
    """The lesson as a notebook without outputs in which every exercise is solved."""
    cells = [cell for cell in read_cells(path) if "place" not in tags(cell)]
    for cell in cells:
        if cell.cell_type == "code":
            cell.source = solution(cell.source)
    return assemble(path.stem, cells, read_course())


def lesson_notebook(path: Path, course: Course):
    """The learner's notebook of a lesson, without outputs."""
    return assemble(path.stem, learner_cells(path), course)


def assemble(stem: str, cells: list, course: Course):
    """A notebook with the launch badges, the bootstrap cell, stable ids and no stray metadata."""
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(cells):
        metadata = {key: cell.metadata[key] for key in ("tags", "alt") if key in cell.metadata}
        source = cell.source
        if number == 0:
            source = source.replace("<!-- badges -->", launch_badges(course, stem))
        if "bootstrap" in tags(cell):
            source = bootstrap(course)
            metadata["jupyter"] = {"source_hidden": True}
        make = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
        cell_id = f"{stem.replace('_', '-')}-{number:03d}"
        notebook.cells.append(make(source, id=cell_id, metadata=metadata))
    return notebook
