"""Ten ways through the same material, each with the places in the lessons that serve it.

The places are found by the build, in the cells and in the question bank, and kept in
data/ways.json: an installed copy has the index also where it has no lessons.
"""

from __future__ import annotations

import html
import importlib.metadata
import json
import re
import sys
from dataclasses import dataclass

from course_utils.store.folders import APP_NAME, data_dir
from courseware import boxes


@dataclass(frozen=True)
class Way:
    """One way to learn: what it is good for, and what its places hold, one and many."""

    key: str
    title: str
    good_for: str
    one: str
    many: str


WAYS = (
    Way(
        "read",
        "Read and run",
        "Read, run the cell, compare. The straight way through, and the one the others branch off.",
        "cell to run",
        "cells to run",
    ),
    Way(
        "step",
        "Step through code",
        "One line at a time, with what it changed: shapes, flags, values. For code that runs and "
        "that you could not explain.",
        "snippet",
        "snippets",
    ),
    Way(
        "predict",
        "Predict the output",
        "Say what will come before you look. You find out what you believe, and a surprise stays.",
        "prediction",
        "predictions",
    ),
    Way(
        "dial",
        "Turn the dials",
        "Change one thing and watch the picture follow. For a feeling of how much it matters.",
        "dial",
        "dials",
    ),
    Way(
        "check",
        "Quick checks",
        "One question right after the experiment it is about. For a minute between two others.",
        "question",
        "questions",
    ),
    Way(
        "practise",
        "Practise with hints",
        "Problems to work out, and functions to write, with hints that come one at a time. "
        "For what you almost know.",
        "problem",
        "problems",
    ),
    Way(
        "bug",
        "Fix the bug",
        "Code that runs, and is wrong. The bugs are real ones: the best preparation for your own.",
        "bug",
        "bugs",
    ),
    Way(
        "write",
        "Write the code",
        "A function of your own, tried on several families of networks. Nothing shows as well "
        "whether you could do it alone.",
        "function",
        "functions",
    ),
    Way(
        "test",
        "Test yourself",
        "The quiz at the end of each lesson, and the final one drawn from all. Come back after a "
        "few days: to recall is to learn.",
        "question",
        "questions",
    ),
    Way(
        "recap",
        "Recap cards",
        "A question in front, its answer on the back. For the train, and for the week after.",
        "card",
        "cards",
    ),
)


@dataclass(frozen=True)
class Place:
    """A section of a lesson (empty: its beginning), and how much it has for a way."""

    lesson: str
    section: str
    count: int

    @property
    def link(self) -> str:
        """Relative to notebooks/. The fragment is JupyterLab's name of a heading, which must stand
        there as it is, without any %…: its text, with a hyphen for each space."""
        name = re.sub(r"[`*]", "", self.section).replace(" ", "-")
        return f"{self.lesson}.ipynb" + (f"#{name}" if name else "")


class Ways:
    """The ten ways and their places, readable in a terminal and in a notebook, light or dark.

    Parameters
    ----------
    lessons : name → title of every lesson
    places : key of a way → its places, in the order of the course
    base : what a link to a lesson begins with; empty where the lessons lie side by side
    """

    def __init__(
        self, lessons: dict[str, str], places: dict[str, list[Place]], base: str = ""
    ) -> None:
        self.lessons, self.places, self.base = lessons, places, base

    def told(self, way: Way) -> str:
        """How much there is, such as ``19 questions in 8 lessons``."""
        found = self.places.get(way.key, [])
        amount = sum(place.count for place in found)
        lessons = len({place.lesson for place in found})
        return (
            f"{amount} {way.one if amount == 1 else way.many} in {lessons} "
            f"{'lesson' if lessons == 1 else 'lessons'}"
        )

    def __str__(self) -> str:
        lines = []
        for number, way in enumerate(WAYS, start=1):
            lines += [f"{number:>2}  {way.title}: {self.told(way)}", f"    {way.good_for}"]
            for title, places in self._by_lesson(way):
                sections = "; ".join(f"{_name(place)} ({place.count})" for place in places)
                lines.append(f"      {_led(title)} {sections}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = []
        for number, way in enumerate(WAYS, start=1):
            lessons = boxes.items(
                f"{html.escape(_led(title))} " + " · ".join(map(self._linked, places))
                for title, places in self._by_lesson(way)
            )
            summary = f"<b>{number} · {way.title}</b>: {self.told(way)}"
            parts.append(boxes.folded(summary, html.escape(way.good_for) + lessons))
        return boxes.frame("".join(parts))

    def _by_lesson(self, way: Way) -> list[tuple[str, list[Place]]]:
        found = self.places.get(way.key, [])
        grouped = [
            (title, [place for place in found if place.lesson == lesson])
            for lesson, title in self.lessons.items()
        ]
        return [(title, places) for title, places in grouped if places]

    def _linked(self, place: Place) -> str:
        address = html.escape(self.base + place.link)
        # Where a page shows the notebook in a frame, the lesson opens beside it.
        target = ' target="_blank"' if self.base else ""
        more = f" ({place.count})" if place.count > 1 else ""
        return f'<a href="{address}"{target}>{html.escape(_name(place))}</a>{more}'


def _name(place: Place) -> str:
    return place.section.replace("`", "").replace("*", "") or "its beginning"


def _led(title: str) -> str:
    return title if title.endswith("?") else f"{title}:"


def ways_of(index: dict, base: str = "") -> Ways:
    """What an index such as data/ways.json says: ``lessons``, and ``ways`` as lists of
    [lesson, section, count]."""
    places = {key: [Place(*place) for place in found] for key, found in index["ways"].items()}
    return Ways(index["lessons"], places, base)


def ways() -> Ways:
    """The ten ways through this course, to end a cell with."""
    index = json.loads((data_dir() / "ways.json").read_text(encoding="utf-8"))
    return ways_of(index, _colab() if "google.colab" in sys.modules else "")


def _colab() -> str:
    """Where Colab opens the lessons. It shows an output in a frame of another host, in which a
    relative link leads nowhere; pip has kept the address that the course was installed from."""
    try:
        course = importlib.metadata.distribution(APP_NAME)
        url = json.loads(course.read_text("direct_url.json") or "{}").get("url", "")
    except importlib.metadata.PackageNotFoundError:
        return ""
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)/archive/(.+)\.zip", url)
    if not match:
        return ""
    return f"https://colab.research.google.com/github/{match[1]}/blob/{match[2]}/notebooks/"
