"""The learner's progress: one JSON file that many notebooks may write at once.

Every update says what happened, not what the file should hold: it is merged, under a lock, into
what the file holds by then. What cannot be written stays in memory and goes in with a later write.
A file that is not ours is never touched, and reading changes nothing.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from course_utils.store import files, folders
from courseware.progress import records
from courseware.progress.records import BrokenFile, ProgressError

MOST_BYTES = 2_000_000  # of an import; all questions and exercises answered make 35,000
TROUBLES = (OSError, ProgressError)


def progress_path() -> Path:
    """The learner's file: what ``COURSE_PROGRESS`` names, else in this system's data folder.

    Raises
    ------
    OSError : it lies in the home folder of somebody who has none
    """
    path = folders.named_by("COURSE_PROGRESS") or folders.progress_dir() / "progress.json"
    return path / "progress.json" if os.path.isdir(path) else path


class Progress:
    """What a learner has answered and solved; see `records` for the shape.

    A disk that does not play along raises nothing: `warning` says what is amiss.

    Parameters
    ----------
    path : by default `progress_path`. The file and its folder are made by the first update.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._nowhere: OSError | None = None
        try:
            # Where a symbolic link leads, so that the name shown is that of the file.
            self.path = Path(os.path.realpath(path or progress_path()))
        except OSError as error:
            self.path, self._nowhere = Path("~/progress.json"), error
        self._content: bytes | None = b""  # the file, as last read or written
        self._known = records.empty()
        self._waiting: list[tuple[Callable, dict]] = []  # what is not in the file yet
        self._notices: dict[str, str] = {}
        self._guard = threading.RLock()  # a kernel may answer a widget in a thread of its own

    @property
    def warning(self) -> str:
        """What the learner should know about the file, as sentences; empty when all is well."""
        return " ".join(self._notices.values())

    def read(self) -> dict:
        """All that is known, in the file and in memory, as a dict of the caller's own."""
        with self._guard:
            try:
                self._load()
                if not self._waiting:
                    self._notices.pop("unsaved", None)
            except TROUBLES as error:
                self._note_unsaved(error)
            return json.loads(records.encode(self._with_waiting(self._known)))

    def has_saved(self, receipt: str) -> bool:
        """Whether the file holds what a message of the browser told."""
        return receipt in self._known["receipts"]

    def answer(
        self,
        question: str,
        *,
        status: str,
        score: float,
        hints: int = 0,
        steps: int = 0,
        receipt: str | None = None,
    ) -> None:
        """Record one more try of a question.

        Parameters
        ----------
        status : "correct", "partial" or "wrong"
        score : from 0 to 1; the best one is kept
        hints, steps : how many hints, and steps of the solution, were seen so far
        receipt : the key of the browser's message. One that comes again counts once.

        Raises
        ------
        ValueError : a value that is none of these
        """
        entry = {"tries": 1, "hints": hints, "steps": steps, "best": float(score), "last": status}
        self._update(receipt, questions={question: entry | {"when": records.now()}})

    def hint(self, question: str, hints: int, steps: int = 0, receipt: str | None = None) -> None:
        """Record how many hints, and steps of the solution, were seen so far."""
        entry = {"hints": hints, "steps": steps, "when": records.now()}
        self._update(receipt, questions={question: entry})

    def exercise(
        self,
        name: str,
        *,
        solved: bool = False,
        tried: bool = False,
        hints: int = 0,
        seen: bool = False,
    ) -> None:
        """Record a try of an exercise (``tried``), its success, how many hints were seen so far,
        or that the solution was shown (``seen``). What was solved or seen stays so."""
        entry = {"tries": int(tried), "solved": solved, "hints": hints, "seen": seen}
        self._update(None, exercises={name: entry | {"when": records.now()}})

    def final(self, asked: list[str], scores: dict[str, float], receipt: str | None = None) -> None:
        """Record a final quiz: the ids of its questions, and the score (0 to 1) of each.

        Raises
        ------
        ValueError : ids that are no text, or scores outside 0 to 1
        """
        self._update(receipt, finals=[{"when": records.now(), "asked": asked, "scores": scores}])

    def export_to(self, path: Path | str) -> dict:
        """Write all that is known to another file; returns what was written.

        Raises
        ------
        ProgressError : it cannot be written, or holds something that would be lost
        """
        document = self.read()
        with _telling(f"Nothing was written to {shown(path)}", "Name another file."):
            path = Path(path).expanduser()
            if os.path.realpath(path) == str(self.path):
                raise ProgressError("it is where your progress is kept")
            if os.path.isfile(path) and os.path.getsize(path):
                there, _ = records.parse(files.read(path, MOST_BYTES))
                if records.merge(document, there) != document:
                    raise ProgressError("it holds progress that yours does not, so import it first")
            files.write(path, records.encode(document))
        return document

    def import_from(self, path: Path | str) -> dict:
        """Merge an exported file into this progress; returns what it held.

        Nothing is lost and nothing counted twice, however often a file is imported.

        Raises
        ------
        ProgressError : there is no such file, or it holds no progress
        """
        name, advice = shown(path), "Give a file that this course exported."
        with _telling(f"Nothing was taken in from {name}", advice):
            document, left_out = records.parse(files.read(Path(path).expanduser(), MOST_BYTES))
            if len(records.encode(records.merge(self.read(), document))) > MOST_BYTES:
                raise ProgressError("with what you have it is more than a file of progress holds")
        if left_out:
            self._notices["imported"] = _told(left_out, name)
        self._save(records.merge, document)
        return document

    def reset(self) -> Path | None:
        """Begin anew. Returns the dated backup of what there was, or None if there was nothing.

        Raises
        ------
        ProgressError : no backup can be made; then nothing has changed
        """
        backup = None
        with self._guard, _telling("Your progress was not reset", "Move the file yourself."):
            if self._waiting:
                self._write()
            self._load()  # nothing is locked or moved that is not ours
            if self.path.exists():
                with files.locked(self.path):
                    backup = files.beside(self.path, "backup")
                    os.replace(self.path, backup)
                self._load()
            self._waiting.clear()
            self._notices.clear()
        return backup

    def _update(self, receipt: str | None, **what) -> None:
        # Through the reader's check, which would leave an unsound entry out the next time.
        what["receipts"] = [] if receipt is None else [receipt]
        change, unsound = records.check(records.empty() | what)
        if unsound:
            raise ValueError(f"no progress that can be recorded: {what}; see progress/records.py")
        self._save(records.add, change)

    def _save(self, join: Callable, change: dict) -> None:
        """Write this change and what waits. What cannot be written waits on; `warning` says so."""
        with self._guard:
            self._waiting.append((join, change))
            try:
                self._write()
            except TROUBLES as error:
                self._note_unsaved(error)

    def _write(self) -> None:
        self._load()  # no lock, no folder beside what is not ours
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(self.path):
            self._load(mend=True)
            document = self._with_waiting(self._known)
            files.write(self.path, content := records.encode(document))
        self._content, self._known = content, document
        self._waiting.clear()
        self._notices.pop("unsaved", None)

    def _with_waiting(self, document: dict) -> dict:
        for join, change in self._waiting:
            document = join(document, change)
        return document

    def _load(self, mend: bool = False) -> None:
        """Learn what the file holds, or raise. With ``mend``, under the lock, set damage aside."""
        if self._nowhere:
            raise self._nowhere
        name, content = shown(self.path.name), b""
        with suppress(FileNotFoundError):
            content = files.read(self.path, 2 * MOST_BYTES)
        if content == self._content:
            return
        self._content = None  # until it is known to be sound
        try:
            self._known, left_out = records.parse(content) if content else (records.empty(), [])
        except BrokenFile:  # what this session knew of it is known still
            self._note_damage(f"{name} is damaged and cannot be read.", os.replace, mend)
            return
        if left_out:
            self._note_damage(_told(left_out, name), shutil.copy2, mend)
        else:
            self._content = content

    def _note_damage(self, told: str, set_aside: Callable, mend: bool) -> None:
        if mend:
            kept = files.beside(self.path, "broken")
            set_aside(self.path, kept)
            told += f" The file as it was is kept beside it as {shown(kept.name)}."
        self._notices["damage"] = told

    def _note_unsaved(self, error: Exception) -> None:
        self._notices["unsaved"] = (
            f"Your progress cannot be saved in {shown(self.path.name)}: "
            f"{files.reason(error)}. So what you do is kept only until this session ends. Export "
            "it before, and set COURSE_PROGRESS to a file that you can write."
        )


_store = functools.cache(Progress)


def my_progress() -> Progress:
    """This learner's progress: one object a file and process.

    So what could not be written is still seen by every quiz, exercise and panel of a notebook.
    """
    with suppress(OSError):
        return _store(progress_path())
    return _store(None)


@contextmanager
def _telling(what: str, advice: str) -> Iterator[None]:
    """Raise what goes wrong as a ProgressError: what did not happen, why, and what to do."""
    try:
        yield
    except (*TROUBLES, ValueError, RuntimeError) as error:  # the last two: no name of a file
        raise ProgressError(f"{what}: {files.reason(error)}. {advice}") from error


def shown(path: Path | str) -> str:
    """A path as it can be printed: its name may hold bytes that are no text."""
    return str(Path(path)).encode("utf-8", "backslashreplace").decode()


def _told(left_out: list[str], name: str) -> str:
    more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
    return f"Damaged entries of {name} are left out: {', '.join(left_out[:3])}{more}."
