"""Build notebooks/ from lessons/: python -m tools.builder.build [--check] [--force] [LESSON…]

Only lessons whose code, or whose course_utils modules, changed are executed; changed prose is
taken over without running anything. --check changes nothing and says what is not as built.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nbformat

from course_utils.store import files
from tools.builder.execute import execute
from tools.builder.fingerprint import fingerprint
from tools.builder.lesson import QUIZ, ROOT, Course, LessonError, read_course, tags
from tools.builder.notebook import lesson_notebook
from tools.builder.outputs import (
    clean_outputs,
    name_pictures,
    nameless_pictures,
    output_problems,
    outputs_hash,
)
from tools.builder.places import FILE, as_text, learning_places
from tools.builder.quiz_cells import fill_quiz_cells, static_output
from tools.lesson_names import UnknownLesson, find_lesson

MAX_BYTES = 10_000_000


def build(lesson: Path, folder: Path, course: Course, *, force: bool = False) -> str:
    """Write one notebook; what was done: "executed on …" or "unchanged, not executed".

    Raises LessonError: the source breaks a rule, a cell fails, or an output must not be published.
    """
    notebook = lesson_notebook(lesson, course)
    target = folder / f"{lesson.stem}.ipynb"
    print_of_code = fingerprint(notebook)
    if not force and target.exists() and _reusable(stored := read(target), print_of_code):
        _take_outputs(notebook, stored)
        done = "unchanged, not executed"
    else:
        data = execute(notebook, lesson.stem)
        if not data and any("load_flowers(" in cell.source for cell in notebook.cells):
            raise LessonError(f"{lesson.stem}: keep what load_flowers returns in a variable")
        _keep_outputs(notebook, data or "none", print_of_code)
        done = f"executed on {data or 'no flowers'}"
    problems = output_problems(notebook) + nameless_pictures(notebook)
    if problems:
        raise LessonError(f"{lesson.stem} is not fit to publish:\n  " + "\n  ".join(problems))
    write(notebook, target)
    return done


def _reusable(stored, print_of_code: str) -> bool:
    mark = stored.metadata.get("course", {})
    untouched = mark.get("outputs") == outputs_hash(stored)
    good = untouched and mark.get("data") != "rendered" and not output_problems(stored)
    return good and mark.get("fingerprint") == print_of_code


def _take_outputs(notebook, stored) -> None:
    # The quiz cells are made anew: there may be more or fewer of them than before.
    sources = iter([c for c in stored.cells if c.cell_type == "code" and QUIZ not in tags(c)])
    for count, target in enumerate(_code(notebook), start=1):
        if QUIZ not in tags(target):
            target.outputs = [_counted(output, count) for output in next(sources).outputs]
    _finish(notebook, stored.metadata["course"])


def _counted(output, count: int):
    if output.output_type == "execute_result":
        output.execution_count = count
    return output


def _keep_outputs(notebook, data: str, print_of_code: str) -> None:
    for count, cell in enumerate(_code(notebook), start=1):
        cell.outputs = clean_outputs(cell, count)
    # The kernel wrote its exact version here: it would differ on every machine.
    notebook.metadata["language_info"] = nbformat.from_dict({"name": "python"})
    _finish(notebook, {"data": data, "fingerprint": print_of_code})


def _finish(notebook, mark: dict) -> None:
    """Count the cells, name their pictures, fill in the quizzes, and note what the outputs are."""
    for count, cell in enumerate(_code(notebook), start=1):
        name_pictures(cell)
        cell.execution_count = count
    fill_quiz_cells(notebook)
    whole = dict(mark, outputs=outputs_hash(notebook))
    notebook.metadata["course"] = nbformat.from_dict(whole)


def _code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def read(path: Path):
    return nbformat.read(path, as_version=4)


def write(notebook, path: Path) -> None:
    """Write a notebook so that a reader never meets half a file. Raises if it is not valid."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, (nbformat.writes(notebook).rstrip("\n") + "\n").encode())


def check(lessons: list[Path], folder: Path, course: Course) -> list[str]:
    """Everything in the notebooks folder that is not as the build would leave it, by name."""
    problems = []
    for lesson in lessons:
        target = folder / f"{lesson.stem}.ipynb"
        found = _check_one(lesson, target, course) if target.exists() else ["no notebook: build it"]
        problems += [f"{lesson.stem}: {problem}" for problem in found]
    return problems


def check_folder(lessons: list[Path], folder: Path) -> list[str]:
    """Notebooks without a lesson, and too many bytes. ``lessons`` must be all of them."""
    notebooks = sorted(folder.glob("*.ipynb"))
    stems = {lesson.stem for lesson in lessons}
    problems = [f"{n.stem}: no lesson of this name" for n in notebooks if n.stem not in stems]
    size = sum(notebook.stat().st_size for notebook in notebooks)
    if size > MAX_BYTES:
        problems.append(f"the notebooks take {size / 1e6:.1f} MB, at most {MAX_BYTES / 1e6:.0f}")
    return problems


def _check_one(lesson: Path, target: Path, course: Course) -> list[str]:
    try:
        expected = lesson_notebook(lesson, course)
    except LessonError as error:
        return [str(error)]
    stored = read(target)
    mark = stored.metadata.get("course", {})
    problems = _source_problems(expected, stored) + output_problems(stored)
    problems += nameless_pictures(stored)
    if mark.get("fingerprint") != fingerprint(expected):
        problems.append("stale: its code, or a module it imports, changed since it was executed")
    if mark.get("outputs") != outputs_hash(stored):
        problems.append("an output was edited by hand")
    if mark.get("data") == "rendered":
        problems.append("executed without the photos: set COURSE_DATA_DIR and build it again")
    if {**stored.metadata, "course": None} != {**expected.metadata, "course": None}:
        problems.append(f"metadata the build does not write: {sorted(stored.metadata)}")
    return problems


def _source_problems(expected, stored) -> list[str]:
    if len(expected.cells) != len(stored.cells):
        return [f"{len(stored.cells)} cells, the source makes {len(expected.cells)}: build it"]
    problems, count = [], 0
    for ours, theirs in zip(expected.cells, stored.cells, strict=True):
        keys = ("id", "cell_type", "source", "metadata")
        wrong = [key for key in keys if ours[key] != theirs.get(key)]
        if ours.cell_type == "code":
            count += 1
            if theirs.get("execution_count") != count:
                wrong.append("execution_count")
        if wrong:
            problems.append(f"cell {ours.id}: {', '.join(wrong)} not as the lesson's source says")
        if QUIZ in tags(ours) and theirs.get("outputs") != [static_output(ours)]:
            problems.append(f"cell {ours.id}: the question bank or the lessons say something else")
    return problems


def check_places(lessons: list[Path], file: Path = FILE) -> list[str]:
    """Whether the index of the ways to learn says what ``lessons`` say, which must be all."""
    if file.exists() and file.read_text(encoding="utf-8") == as_text(learning_places(lessons)):
        return []
    return [f"{file.name} is not what the lessons and the question bank say: build"]


def choose(names: list[str], folder: Path) -> list[Path]:
    """The lessons with these names, as `find_lesson` reads them; all if there are none.

    Raises LessonError: a name fits no lesson, or several.
    """
    lessons = sorted(folder.glob("[0-9][0-9]_*.py"))
    try:
        return sorted({find_lesson(name, lessons) for name in names}) if names else lessons
    except UnknownLesson as error:
        raise LessonError(str(error)) from None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 04; all if none")
    parser.add_argument("--check", action="store_true", help="change nothing, say what is wrong")
    parser.add_argument("--force", action="store_true", help="execute even what did not change")
    options = parser.parse_args(arguments)
    course, folder = read_course(), ROOT / "notebooks"
    try:
        lessons = choose(options.lessons, ROOT / "lessons")
        if options.check:
            problems = check(lessons, folder, course)
            if not options.lessons:
                problems += check_folder(lessons, folder) + check_places(lessons)
            print("\n".join(problems) or f"{len(lessons)} notebooks are as built")
            return 1 if problems else 0
    except LessonError as error:
        print(error, file=sys.stderr)
        return 1
    return _build_all(lessons, folder, course, options.force)


def _build_all(lessons: list[Path], folder: Path, course: Course, force: bool) -> int:
    failed = 0
    try:
        text = as_text(learning_places(choose([], ROOT / "lessons")))
        FILE.write_text(text, encoding="utf-8")
    except LessonError as error:  # in a lesson that may not be among those to build
        print(f"✘ {FILE.name}: {error}", file=sys.stderr, flush=True)
        failed += 1
    for lesson in lessons:
        start = time.perf_counter()
        try:
            done = build(lesson, folder, course, force=force)
        except LessonError as error:
            print(f"✘ {error}", file=sys.stderr, flush=True)
            failed += 1
            continue
        print(f"✔ {lesson.stem}: {done} ({time.perf_counter() - start:.1f} s)", flush=True)
        if done == "executed on rendered":
            print("  not for a commit: no photos were found (set COURSE_DATA_DIR)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
