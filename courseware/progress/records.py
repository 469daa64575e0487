"""What a file of progress holds, which of its entries are sound, and how two files are joined.

It is one JSON file and no database. The learner can read, copy and send it, an export has the same
form, and it is replaced as a whole: where locks do not work, as on some network and cloud drives,
that may cost one of two answers given in the same moment. A database would be damaged there.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, OnErrorOmit, TypeAdapter
from pydantic_core import to_json

VERSION = 1
MAX_COUNT = 10**6
KEPT_RECEIPTS = 500  # a browser keeps at most 200 messages that it does not know to be saved
OUR_START = re.compile(rb'\s*\{\s*"version"\s*:\s*[0-9]+\s*,\s*"questions"\s*:')


class ProgressError(Exception):
    """Progress that cannot be read or written: which file, why, and what to do."""


class BrokenFile(ProgressError):
    """The file is ours, and damaged."""


class NotProgress(ProgressError):
    """The file is not ours, or of a newer version of the course: it must be left as it is."""


Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]
Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Z-]{5,30}$")]
Receipt = Annotated[str, Field(pattern=r"^[0-9]{13}-[0-9a-z]{1,20}$")]
# Keys that another version of the course may write are kept, as far as they stay small.
Plain = bool | Annotated[int, Field(ge=-(2**53), le=2**53)] | FiniteFloat | Name
Other = Plain | list[Plain] | dict[Name, Plain]
STRICT = ConfigDict(strict=True, extra="allow")


class Known(BaseModel):
    """What is known of a question or exercise. ``when`` is the time of the last try (before one,
    of the last hint), ISO 8601 in UTC."""

    model_config = STRICT
    __pydantic_extra__: dict[Name, Other] = Field(init=False)
    tries: Count = 0
    hints: Count = 0
    when: Time = Field(default=None)  # type: ignore[assignment] # absent before the first


class Question(Known):
    """``best`` is the best score; ``last`` the outcome of the last try, absent before the first."""

    steps: Count = 0  # of the solution, seen so far
    best: Share = 0.0
    last: Literal["correct", "partial", "wrong"] = Field(default=None)  # type: ignore[arg-type]


class Exercise(Known):
    """``seen`` tells that the solution was shown."""

    solved: bool = False
    seen: bool = False


class Final(BaseModel):
    """A final quiz: when it ended, the ids of its questions in order, the score of each."""

    model_config = STRICT
    __pydantic_extra__: dict[Name, Other] = Field(init=False)
    when: Time
    asked: list[Name]
    scores: dict[Name, Share]


class Document(BaseModel):
    """A file. An entry that is not sound is left out, and does not cost the others."""

    model_config = ConfigDict(strict=True)
    version: Literal[1] = VERSION  # type: ignore[assignment]
    questions: dict[OnErrorOmit[Name], OnErrorOmit[Question]] = {}
    exercises: dict[OnErrorOmit[Name], OnErrorOmit[Exercise]] = {}
    finals: list[OnErrorOmit[Final]] = []
    receipts: list[OnErrorOmit[Receipt]] = []  # of the browser's messages that are in the file


OTHERS = TypeAdapter(dict[OnErrorOmit[Name], OnErrorOmit[Other | dict[Name, Other]]])
START = {
    "questions": Question().model_dump(exclude_none=True),
    "exercises": Exercise().model_dump(exclude_none=True),
}


def now() -> str:
    """This moment in UTC, so that later moments sort later."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def empty() -> dict:
    """The progress of someone who has not begun."""
    return Document().model_dump()


def encode(document: dict) -> bytes:
    """The content of a file."""
    return to_json(document, indent=1)


def parse(content: bytes) -> tuple[dict, list[str]]:
    """Read a file's content. Also returns the names of the entries left out as unsound.

    Raises
    ------
    BrokenFile : it begins as ours does, and is damaged or cut short
    NotProgress : it holds something else, or its version is above `VERSION`
    """
    try:
        read = json.loads(content)
    except (ValueError, RecursionError) as error:
        if OUR_START.match(content) or not content.strip(b"\0"):
            raise BrokenFile("it is damaged or cut short") from error
        raise NotProgress("it holds something else than progress") from error
    version = read.get("version") if isinstance(read, dict) else None
    if type(version) is int and version > VERSION:
        raise NotProgress("a newer version of the course wrote it, so update the course")
    if type(version) is not int or "questions" not in read:
        raise NotProgress("it holds something else than progress")
    return check(read)


def check(read: dict) -> tuple[dict, list[str]]:
    """The sound entries, with what they lack set to its start, and the names of the others.

    Raises
    ------
    NotProgress : a group of entries is of another shape
    """
    try:
        document = Document.model_validate(read).model_dump(exclude_none=True)
    except ValueError as error:
        raise NotProgress("it holds something else than progress") from error
    document |= OTHERS.validate_python({key: read[key] for key in read if key not in document})
    pairs = [(read, document), *((read.get(group, {}), document[group]) for group in START)]
    left_out = [f"{name!r:.40}" for given, kept in pairs for name in given if name not in kept]
    for group in ("finals", "receipts"):
        left_out += [group] * (len(read.get(group, [])) - len(document[group]))
        document[group] = _union(group, document[group], [])
    return document, left_out


def add(document: dict, change: dict) -> dict:
    """The document after something new happened: tries add up, and its outcome is the last one.

    A change whose receipt is there has happened before, and changes nothing.
    """
    if set(change["receipts"]) & set(document["receipts"]):
        return document
    return _join(document, change, added=True)


def merge(mine: dict, theirs: dict) -> dict:
    """What two files know together.

    They may share a history, so counts do not add up: the larger one holds. Merging the same file
    again changes nothing, and which of the two is ``mine`` makes no difference to what is known.
    """
    return _join(mine, theirs, added=False)


def _join(mine: dict, theirs: dict, added: bool) -> dict:
    joined = theirs | mine
    for group in START:
        joined[group] = dict(mine[group])
        for name, entry in theirs[group].items():
            old = mine[group].get(name)
            joined[group][name] = _join_entry(group, old, entry, added) if old else entry
    for group in ("finals", "receipts"):
        joined[group] = _union(group, mine[group], theirs[group])
    return joined


def _join_entry(group: str, old: dict, new: dict, added: bool) -> dict:
    # Sorting keeps the order of equals: where a try was added, no clock says which was later.
    earlier, later = sorted((old, new), key=_has_outcome if added else _recency)
    # True is larger than False: what was solved stays solved.
    entry = earlier | later | {key: max(old[key], new[key]) for key in START[group]}
    if added:
        entry["tries"] = min(old["tries"] + new["tries"], MAX_COUNT)
    return entry


def _has_outcome(entry: dict) -> bool:
    return "last" in entry  # A hint is no try: after one, outcome and time stay those of the try.


def _recency(entry: dict) -> tuple:
    # The outcome comes last so that two tries in one moment have an order, too.
    return _has_outcome(entry), entry.get("when", ""), entry.get("last", "")


def _union(group: str, mine: list, theirs: list) -> list:
    """Each once, in the order in which they were made. A receipt begins with its time."""
    if group == "receipts":
        return sorted({*mine, *theirs})[-KEPT_RECEIPTS:]
    finals = {json.dumps(entry, sort_keys=True): entry for entry in [*mine, *theirs]}
    return sorted(finals.values(), key=lambda entry: entry["when"])
