"""Rules of the house that no single module can keep: what is tracked, and what a lesson holds."""

import re
import subprocess
from pathlib import Path

import pytest

from tools.builder import build
from tools.builder.lesson import (
    EXERCISE,
    PHOTOS,
    QUIZ,
    ROOT,
    read_cells,
    read_course,
    tags,
)
from tools.builder.notebook import launch_badges
from tools.builder.outputs import output_problems

LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BINARY = {".png", ".gif", ".ico", ".uint8", ".pt", ".pth"}
# Put together from parts, so that this file does not find itself.
STRAY = {
    "a path of someone's machine": r"(?<![\w.])/(?:" + "|".join(("work", "root")) + r")/",
    "a package registry's host": "|".join(
        (r"pypi\." + "org", "python" + r"hosted\.org", r"download\.pytorch\." + "org/whl")
    ),
}


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


@pytest.mark.parametrize("what", STRAY)
def test_no_tracked_file_names(what):
    found = []
    for file in tracked():
        if file.suffix not in BINARY:
            match = re.search(STRAY[what], file.read_text(encoding="utf-8"))
            found += [f"{file.relative_to(ROOT)}: {match[0]}"] if match else []
    assert not found


def test_the_patterns_find_what_they_should():
    assert re.search(STRAY["a path of someone's machine"], 'open("/ro' + 'ot/x")')
    assert not re.search(STRAY["a path of someone's machine"], "network/" + "root/of")
    assert re.search(STRAY["a package registry's host"], "https://pypi" + ".org/simple")
    assert not re.search(STRAY["a package registry's host"], "https://download.pytorch.org/models")


def test_no_photo_file_is_tracked():
    assert not [file for file in tracked() if file.suffix.lower() in (".jpg", ".jpeg")]


def test_the_readme_opens_the_first_lesson_where_the_course_is_published():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert launch_badges(read_course(), "00_start_here") in readme


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_is_fit_to_publish(notebook):
    content = build.read(notebook)
    assert output_problems(content) == []
    for cell in content.cells:
        if PHOTOS in tags(cell):
            assert not re.search(r"image/|data:image", str(cell.outputs)), cell.id


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_parts(lesson):
    cells = read_cells(lesson)
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    number = int(lesson.stem[:2])
    assert re.match(rf"# {number} · \S", prose) or number == 0
    for part in ("*You will be able to*", "*Time*", "*Before this*", "## What you saw"):
        assert part in prose, f"{part} is missing"
    assert "## References" in prose
    if number == 0:
        return  # it sends the learner on: nothing to practise yet
    assert "**Predict:**" in prose
    if number == 10:
        return  # it is a quiz
    asked = [cell.source.splitlines()[-1] for cell in cells if QUIZ in tags(cell)]
    assert len(asked) >= 4, "three checks and the lesson's quiz"
    assert f'quiz("{lesson.stem}")' in asked, "the lesson's quiz, by its name"
    assert any(EXERCISE in tags(cell) for cell in cells)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_links_only_to_lessons_there_are(lesson):
    links = re.findall(r"\]\((\w+)\.ipynb\)", lesson.read_text(encoding="utf-8"))
    assert links and set(links) <= {path.stem for path in LESSONS}


@pytest.mark.parametrize("package", ["course_utils", "courseware", "tools"])
def test_the_map_in_contributing_names_every_module(package):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    page = page.split("## Where is what")[1].split("\n## ")[0]
    parts = [part for part in (ROOT / package).iterdir() if not part.name.startswith(("_", "."))]
    modules = [part.stem for part in parts if part.suffix == ".py"]
    modules += [f"{part.name}/?" for part in parts if (part / "__init__.py").is_file()]
    assert modules
    assert not [name for name in modules if not re.search(rf"`{name}`", page)]


def test_no_two_test_files_share_a_name():
    """pytest imports them by their bare names, and stops at the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(set(names)) == len(names)
