"""What a file of progress holds: its shape, which entries are sound, how two are put together.

    {"version": 1,
     "questions": {id: {"tries", "hints", "steps", "best", "last", "when"}},
     "exercises": {name: {"tries", "solved", "hints", "seen", "when"}},
     "finals": [{"when", "asked": [id], "scores": {id: share}}]}

``tries``, ``hints`` and ``steps`` count; ``best`` is a share of 1; ``last`` is the outcome of the
last try, absent before the first; ``seen`` tells that the solution was shown; ``when`` is the time
of the last try (before one, of the last hint), ISO 8601 in UTC. Unknown keys are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

VERSION = 1
STATUSES = ("correct", "partial", "wrong")
START = {
    "questions": {"tries": 0, "hints": 0, "steps": 0, "best": 0.0},
    "exercises": {"tries": 0, "solved": False, "hints": 0, "seen": False},
}


class ProgressError(Exception):
    """Progress that cannot be read or written: which file, why, and what to do."""


class BrokenFile(ProgressError):
    """What the file holds is not progress."""


class NewerVersion(ProgressError):
    """The file was written by a later version of the course, which may know more."""


def now() -> str:
    """This moment in UTC, so that later moments sort later."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def empty() -> dict:
    """The progress of someone who has not begun."""
    return {"version": VERSION, "questions": {}, "exercises": {}, "finals": []}


def parse(content: bytes) -> tuple[dict, list[str]]:
    """Read a file's content. Also returns the names of the entries left out as unsound.

    Raises
    ------
    BrokenFile : it is not JSON, or not of the shape above
    NewerVersion : its version is above `VERSION`
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BrokenFile("it is not JSON, or cut short") from error
    version = document.get("version") if isinstance(document, dict) else None
    if type(version) is not int or version < 1:
        raise BrokenFile("it holds something else than progress")
    if version > VERSION:
        raise NewerVersion("it was written by a newer version of the course")
    document = empty() | document
    dropped = []
    for group in START:
        document[group], unsound = _sound_entries(document[group], group)
        dropped += unsound
    if not isinstance(document["finals"], list):
        raise BrokenFile("its finals are not a list")
    finals = [entry for entry in document["finals"] if _is_final(entry)]
    dropped += ["a final quiz"] * (len(document["finals"]) - len(finals))
    document["finals"] = _union(finals, [])
    return document, dropped


def _sound_entries(entries, group: str) -> tuple[dict, list[str]]:
    """The sound ones, with what they lack set to its start, and the names of the others."""
    if not isinstance(entries, dict):
        raise BrokenFile(f"its {group} are not a table")
    checks = {"last": _is_status, "when": _is_time} | {
        name: CHECKS[type(value)] for name, value in START[group].items()
    }
    sound = {}
    for name, entry in entries.items():
        if isinstance(entry, dict) and all(
            checks[key](value) for key, value in entry.items() if key in checks
        ):
            sound[name] = START[group] | entry
    return sound, [name for name in entries if name not in sound]


def _is_count(value) -> bool:
    return type(value) is int and value >= 0  # True is an int too, but no count


def _is_share(value) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _is_flag(value) -> bool:
    return type(value) is bool


def _is_status(value) -> bool:
    return value in STATUSES


def _is_time(value) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value) is not None
    except ValueError:
        return False


CHECKS = {int: _is_count, float: _is_share, bool: _is_flag}


def _is_final(entry) -> bool:
    if not isinstance(entry, dict) or not _is_time(entry.get("when")):
        return False
    asked, scores = entry.get("asked"), entry.get("scores")
    return (
        isinstance(asked, list)
        and all(isinstance(question, str) for question in asked)
        and isinstance(scores, dict)
        and all(_is_share(score) for score in scores.values())
    )


def add(document: dict, change: dict) -> dict:
    """The document after something new happened: tries add up, and its outcome is the last one."""
    return _join(document, change, _add_entry)


def merge(mine: dict, theirs: dict) -> dict:
    """What two files know together.

    They may share a history, so counts do not add up: the larger one holds. Merging the same file
    again changes nothing, and which of the two is ``mine`` makes no difference to what is known.
    """
    return _join(mine, theirs, _merge_entry)


def _join(mine: dict, theirs: dict, join: Callable[[dict, dict, dict], dict]) -> dict:
    joined = theirs | mine
    for group in START:
        entries = dict(mine[group])
        for name, entry in theirs[group].items():
            if name in entries:
                old = entries[name]
                # True is larger than False: what was solved stays solved.
                largest = {key: max(old[key], entry[key]) for key in START[group]}
                entry = join(old, entry, largest)
            entries[name] = entry
        joined[group] = entries
    joined["finals"] = _union(mine["finals"], theirs["finals"])
    return joined


def _add_entry(old: dict, new: dict, largest: dict) -> dict:
    entry = old | new | largest | {"tries": old["tries"] + new["tries"]}
    if "last" in old and "last" not in new:  # a hint after a try: the time stays that of the try
        entry["when"] = old.get("when", new["when"])
    return entry


def _merge_entry(mine: dict, theirs: dict, largest: dict) -> dict:
    earlier, later = sorted((mine, theirs), key=_recency)
    return earlier | later | largest


def _recency(entry: dict) -> tuple:
    # A hint is no try. The outcome comes last so that two tries in one moment have an order, too.
    return "last" in entry, entry.get("when", ""), entry.get("last", "")


def _union(mine: list[dict], theirs: list[dict]) -> list[dict]:
    """Each final quiz once, in the order they were taken."""
    finals = {json.dumps(entry, sort_keys=True): entry for entry in [*mine, *theirs]}
    return sorted(finals.values(), key=lambda entry: entry["when"])
