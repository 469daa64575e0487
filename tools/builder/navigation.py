"""What leads through the course: contents, previous and next lesson, and files of the repository.

All of it is made from the lessons themselves; nobody keeps a list.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from tools.builder.headings import anchor
from tools.builder.lesson import ROOT, Course, LessonError

COSTS = ROOT / "data" / "results" / "lesson_costs.json"
_TITLE = re.compile(r"^# # (.+)$", re.MULTILINE)
_TIME = re.compile(r"\*Time\* \d+ min")
# A link to a file of the repository, as seen from notebooks/: [text](../data/README.md).
_FILE = re.compile(r"\[[^\]]+\]\(\.\./(?P<file>[^)#\s]+)(?P<part>#[^)\s]*)?\)")


def title(lesson: Path) -> str:
    """The first heading of a lesson's source, such as ``4 · Feature extraction``."""
    match = _TITLE.search(lesson.read_text(encoding="utf-8"))
    return match[1].strip() if match else lesson.stem


def opening(source: str, lesson: Path, sections: list[str]) -> str:
    """The first cell, with the time its cells take, the lessons beside it, and its contents.

    A link to a section names the notebook, too: of two open notebooks with the same heading
    JupyterLab would look in the first. tests/browser clicks all of them. GitHub shows a notebook in
    a frame in which no such link works (https://github.com/openmm/openmm_workshops/issues/7); Colab
    opens the notebook anew, and shows its own contents in the side bar.
    """
    parts = [_TIME.sub(lambda match: match[0] + _computing(lesson.stem), source, count=1)]
    beside = [link for _, link in _beside(lesson)]
    parts += [" · ".join(beside)] if beside else []
    if sections:
        # In <…>, so that brackets in a heading do not end the link.
        notebook = f"{lesson.stem}.ipynb"
        items = "\n".join(f"- [{h}](<{notebook}#{anchor(h)}>)" for h in sections)
        parts.append(f"<details><summary>In this lesson</summary>\n\n{items}\n\n</details>")
    return "\n\n".join(parts)


def closing(source: str, lesson: Path) -> str:
    """The last cell, with those of the links to the lessons beside it that it does not have."""
    linked = re.findall(r"\]\((\w+)\.ipynb\)", source)
    beside = [link for stem, link in _beside(lesson) if stem not in linked]
    return "\n\n".join([source, " · ".join(beside)]) if beside else source


def _beside(lesson: Path) -> list[tuple[str, str]]:
    """The lessons before and after in the folder: their names, and a link to each."""
    lessons = sorted(lesson.parent.glob("[0-9][0-9]_*.py"))
    place = lessons.index(lesson)
    found = []
    if place > 0:
        before = lessons[place - 1]
        found.append((before.stem, f"[← {title(before)}]({before.stem}.ipynb)"))
    if place + 1 < len(lessons):
        after = lessons[place + 1]
        found.append((after.stem, f"[{title(after)} →]({after.stem}.ipynb)"))
    return found


@functools.cache
def _costs() -> dict:
    return json.loads(COSTS.read_text(encoding="utf-8"))["lessons"] if COSTS.exists() else {}


def _computing(stem: str) -> str:
    """What `course.py bench lessons` measured, in round minutes: a second changes no lesson."""
    seconds = _costs().get(stem, {}).get("seconds")
    if seconds is None:
        return ""
    minutes = f"about {round(seconds / 60)} min" if seconds >= 45 else "less than a minute"
    return f", {minutes} of it computing"


def with_github_links(source: str, lesson: Path, course: Course) -> str:
    """A markdown cell in which each link to a file of the repository has a second one beside it.

    The first is relative, and works in a clone, offline, and on GitHub; the second works in Colab,
    where there is no clone.

    Raises LessonError: there is no such file.
    """

    def both(match: re.Match) -> str:
        if not (ROOT / match["file"]).exists():
            raise LessonError(f"{lesson.name} links to {match['file']}, which does not exist")
        address = github_file(course, match["file"] + (match["part"] or ""))
        return f"{match[0]} ([on GitHub]({address}))"

    return _FILE.sub(both, source)


def github_file(course: Course, file: str) -> str:
    """The page of a file of the repository."""
    return f"https://github.com/{course.repository}/blob/{course.ref}/{file}"
