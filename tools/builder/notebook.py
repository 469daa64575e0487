"""From a lesson's cells to a notebook without outputs, with all that the build writes around them.

Badges, links and contents come into the first cell, a way onwards into the last one; the Colab cell
is put in; cells that are to be used, not read, are folded to one line.
"""

from __future__ import annotations

from pathlib import Path

import nbformat

from tools.builder.lesson import (
    DIAL,
    EXERCISE,
    QUIZ,
    STEPPED,
    STEPPER,
    Course,
    cut_solution,
    lesson_sections,
    read_cells,
    read_course,
    solution,
    tags,
)
from tools.builder.navigation import closing, opening, with_github_links
from tools.builder.quiz_cells import first_line

# JupyterLab shows the first line of a hidden input; Colab shows "Show code" in its place.
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}


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
    ``--no-deps`` leaves them as they are, and the small packages bring no large ones along. How
    threads wait is settled here, for it must be before torch is imported."""
    archive = f"https://github.com/{course.repository}/archive/{course.ref}.zip"
    return "\n".join(
        [
            "# Start: fetch the course (Colab), share the cores",  # shows while folded
            "import subprocess",
            "import sys",
            "",
            'if "google.colab" in sys.modules:',
            '    pip = [sys.executable, "-m", "pip", "install", "--quiet"]',
            f'    course = "{archive}"',
            '    subprocess.run([*pip, "--no-deps", course], check=True)',
            '    small = ["filelock", "platformdirs", "pydantic", "anywidget"]',
            '    text = ["markdown-it-py", "mdit-py-plugins", "latex2mathml"]',
            "    subprocess.run([*pip, *small, *text], check=True)",
            "from course_utils.store.threads import share_processor",
            "",
            "share_processor()",
        ]
    )


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
    return _assemble(path, cells, read_course())


def lesson_notebook(path: Path, course: Course):
    """The learner's notebook of a lesson, without outputs."""
    return _assemble(path, learner_cells(path), course)


def _assemble(path: Path, cells: list, course: Course):
    """A notebook with stable ids and no stray metadata."""
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(cells):
        source, metadata = _written(cell, path, course)
        if number == 0:
            source = source.replace("<!-- badges -->", launch_badges(course, path.stem))
            source = opening(source, path, lesson_sections(cells))
        elif number == len(cells) - 1 and cell.cell_type == "markdown":
            source = closing(source, path)
        make = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
        cell_id = f"{path.stem.replace('_', '-')}-{number:03d}"
        notebook.cells.append(make(source, id=cell_id, metadata=metadata))
    return notebook


def _written(cell, path: Path, course: Course) -> tuple[str, dict]:
    """A cell's source and metadata as they stand in the notebook."""
    metadata = {key: cell.metadata[key] for key in ("tags", "alt") if key in cell.metadata}
    if cell.cell_type == "markdown":
        return with_github_links(cell.source, path, course), metadata
    if "bootstrap" in tags(cell):
        return bootstrap(course), metadata | {"jupyter": {"source_hidden": True}}
    if {QUIZ, DIAL, STEPPER} & tags(cell) or cell.source.startswith(STEPPED):
        metadata |= FOLDED
    source = f"{first_line(cell)}\n{cell.source}" if QUIZ in tags(cell) else cell.source
    return source, metadata
