"""Which places of the lessons serve which way of learning: found in the cells and in the bank.

The ways themselves, and how they are shown, are in courseware/ways.py.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from courseware.bank.exercises import load_exercises
from courseware.bank.questions import find, load_banks
from tools.builder.headings import sections
from tools.builder.lesson import (
    BUG,
    CHECKED,
    DIAL,
    EXERCISE,
    PHOTOS,
    QUIZ,
    ROOT,
    SELF_CHECK,
    STEPPER,
    quiz_call,
    read_cells,
    tags,
)
from tools.builder.navigation import title

FILE = ROOT / "data" / "ways.json"
FINAL = 10  # questions of a final quiz
_PREDICT = re.compile(r"^\*\*Predict:\*\*", re.MULTILINE)
_CHECK = re.compile(r'\bcheck\("(\w+)"')
_BY_TAG = {STEPPER: "step", DIAL: "dial", EXERCISE: "write", BUG: "bug"}
_WORKED = {"numeric", "order"}  # questions whose answer is worked out, not chosen


def learning_places(lessons: list[Path]) -> dict:
    """The index that ``courseware.ways`` shows.

    Returns ``lessons``: name → title, and ``ways``: way → [lesson, section, count] in the order of
    the course; the section is empty before a lesson's first one.
    """
    counts = {lesson.stem: _counted(read_cells(lesson)) for lesson in lessons}
    ways: dict[str, list] = {}
    for lesson, found in counts.items():
        for (way, section), count in found.items():
            ways.setdefault(way, []).append([lesson, section, count])
    return {"lessons": {lesson.stem: title(lesson) for lesson in lessons}, "ways": ways}


def _counted(cells: list) -> Counter:
    """How often each way has something in each section of one lesson."""
    found: Counter = Counter()
    section = ""
    for cell in cells:
        if cell.cell_type == "code":
            found.update((way, section) for way in _served(cell))
            continue
        # A cell may begin one section and end in another: what stands before a heading is above it.
        for part in re.split(r"(?m)^(?=## )", cell.source):
            section = next(iter(sections(part)), section)
            found.update([("predict", section)] * len(_PREDICT.findall(part)))
    return found


def _served(cell) -> Iterator[str]:
    """The ways that a code cell serves, each as often as it has something for it."""
    marks = tags(cell)
    if not marks - {CHECKED, PHOTOS, BUG}:
        yield "read"
    yield from (way for tag, way in _BY_TAG.items() if tag in marks)
    if SELF_CHECK in marks:
        known = load_exercises()
        yield from ("practise" for name in _CHECK.findall(cell.source) if known[name].hints)
    if QUIZ in marks:
        yield from _asked(quiz_call(cell))


def _asked(call) -> Iterator[str]:
    """The ways that a quiz cell serves, question by question."""
    if call.func.id == "final_quiz":
        yield from ["test"] * FINAL
    if call.func.id not in ("quiz", "recap"):
        return
    questions, _ = find(call.args[0].value, load_banks())
    if call.func.id == "recap":
        yield from ["recap"] * len(questions)
        return
    for question in questions:
        yield "check" if question.inline else "test"
        if question.type in ("predict", "bug"):
            yield question.type
        if question.type in _WORKED and question.hints:
            yield "practise"


def as_text(places: dict) -> str:
    """The index as it is kept in data/ways.json: one place a line, so that changes can be read."""
    lines = ",\n".join(
        f"  {json.dumps(way)}: [\n"
        + ",\n".join(f"   {json.dumps(place, ensure_ascii=False)}" for place in found)
        + "\n  ]"
        for way, found in places["ways"].items()
    )
    titles = json.dumps(places["lessons"], ensure_ascii=False, indent=2).replace("\n", "\n ")
    return f'{{\n "lessons": {titles},\n "ways": {{\n{lines}\n }}\n}}\n'
