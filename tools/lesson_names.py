"""A lesson by the name that someone types: for the command line, the build and the benchmarks."""

from __future__ import annotations

from pathlib import Path

from course_utils.store.messages import nearest


class UnknownLesson(LookupError):
    """No lesson has this name, or several have. The message names the near ones."""


def find_lesson(asked: str, lessons: list[Path]) -> Path:
    """The one of ``lessons`` that ``asked`` names: 4, 04, feature_extraction, a file's name.

    The beginning of a topic is enough: feature. A number is a lesson's own: 1 is not 10.

    Raises
    ------
    UnknownLesson : none does, or several do.
    """
    known = {path.stem: path for path in lessons}
    name = Path(asked).name.removesuffix(".ipynb").removesuffix(".py").lower().replace("-", "_")
    if name.isdecimal():
        name = name.lstrip("0").zfill(2)
    found = [stem for stem in known if name in (stem, stem[:2], stem[3:])]
    found = found or [stem for stem in known if name and stem[3:].startswith(name)]
    found = found or [stem for stem in known if name and stem.startswith(name)]
    if len(found) == 1:
        return known[found[0]]
    raise UnknownLesson(_message(asked, name, found, list(known)))


def _message(asked: str, name: str, found: list[str], known: list[str]) -> str:
    """What is wrong with ``asked``, and what there is."""
    topics = {key: stem for stem in known for key in (stem, stem[3:])}
    if found:
        return f"Several lessons are called {asked!r}. Did you mean {', '.join(found)}?"
    told = nearest(name, topics, topics.__getitem__) or f"There are {', '.join(known)}."
    return f"There is no lesson called {asked!r}. {told}"
