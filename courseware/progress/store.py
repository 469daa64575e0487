"""The learner's progress: one JSON file that many notebooks may write at once.

Every update says what happened, not what the file should hold: it is merged, under a lock, into
what the file holds by then. What cannot be written stays in memory and goes in with a later write.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_data_path

from course_utils.store import files
from courseware.progress import records, storage
from courseware.progress.records import BrokenFile, NewerVersion, ProgressError

APP_NAME = "transfer-learning-measured"


def progress_path() -> Path:
    """The learner's file: what ``COURSE_PROGRESS`` names, else in this system's data folder."""
    override = os.environ.get("COURSE_PROGRESS")
    if not override:
        return user_data_path(APP_NAME) / "progress.json"
    path = Path(os.path.expanduser(override))
    return path / "progress.json" if os.path.isdir(path) else path


def my_progress() -> Progress:
    """This learner's progress: one object a file and process.

    So what could not be written is still seen by every quiz, exercise and panel of a notebook.
    """
    return _store(progress_path().absolute())


@functools.cache
def _store(path: Path) -> Progress:
    return Progress(path)


class Progress:
    """What a learner has answered and solved; see `records` for the shape.

    A disk that does not play along raises nothing: `warning` says what is amiss.

    Parameters
    ----------
    path : the file; by default `progress_path`. It and its folder are made by the first update.
    """

    def __init__(self, path: Path | None = None) -> None:
        # Where a symbolic link leads, so that the link still stands when the file is replaced.
        self.path = Path(os.path.realpath(path or progress_path()))
        self._known = records.empty()  # as last read or written
        self._waiting: list[tuple[Callable, dict]] = []  # what is not in the file yet
        self._notices: dict[str, str] = {}
        self.handled: list[str] = []  # keys of the browser's messages that this process saved
        self._guard = threading.RLock()  # a kernel may answer a widget in a thread of its own

    @property
    def warning(self) -> str:
        """What the learner should know about the file, as sentences; empty when all is well."""
        return " ".join(self._notices.values())

    def read(self) -> dict:
        """All that is known, in the file and in memory, as a dict of the caller's own."""
        with self._guard:
            try:
                self._known = self._load()
                if not self._waiting:
                    self._notices.pop("unsaved", None)
            except BrokenFile:
                self._save()  # sets it aside, which needs the lock
            except (OSError, NewerVersion) as error:
                self._note_unsaved(error)
            return json.loads(json.dumps(self._with_waiting(self._known)))

    def answer(
        self, question: str, *, status: str, score: float, hints: int = 0, steps: int = 0
    ) -> None:
        """Record one more try of a question.

        Parameters
        ----------
        status : "correct", "partial" or "wrong"
        score : from 0 to 1; the best one is kept
        hints, steps : how many hints, and steps of the solution, were seen so far

        Raises
        ------
        ValueError : a value that is none of these
        """
        entry = {"tries": 1, "hints": hints, "steps": steps, "best": float(score), "last": status}
        self._update(questions={question: entry | {"when": records.now()}})

    def hint(self, question: str, hints: int, steps: int = 0) -> None:
        """Record how many hints, and steps of the solution, were seen so far."""
        entry = {"tries": 0, "hints": hints, "steps": steps, "best": 0.0}
        self._update(questions={question: entry | {"when": records.now()}})

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
        self._update(exercises={name: entry | {"when": records.now()}})

    def final(self, asked: list[str], scores: dict[str, float]) -> None:
        """Record a final quiz: the ids of its questions, and the score (0 to 1) of each.

        Raises
        ------
        ValueError : ids that are no text, or scores outside 0 to 1
        """
        scores = {question: float(score) for question, score in scores.items()}
        self._update(finals=[{"when": records.now(), "asked": list(asked), "scores": scores}])

    def export_to(self, path: Path | str) -> dict:
        """Write all that is known to another file; returns what was written.

        Raises
        ------
        ProgressError : it cannot be written, or holds something that would be lost
        """
        path = Path(os.path.expanduser(path))
        document = self.read()
        if os.path.isdir(path):
            raise ProgressError(f"{path} is a folder. Name a file in it.")
        if os.path.realpath(path) == str(self.path):
            raise ProgressError(f"{path} is where your progress is kept. Name another file.")
        there = storage.read_export(path)[0] if os.path.isfile(path) else records.empty()
        if records.merge(document, there) != document:
            raise ProgressError(
                f"{path} holds progress that yours does not. Import it first, or export to a file "
                "of another name."
            )
        try:
            files.write(path, document)
        except OSError as error:
            raise ProgressError(
                f"{path} cannot be written: {storage.reason(error)}. Name a file in a folder that "
                "you can write."
            ) from error
        return document

    def import_from(self, path: Path | str) -> dict:
        """Merge an exported file into this progress; returns what it held.

        Nothing is lost and nothing counted twice, however often a file is imported.

        Raises
        ------
        ProgressError : there is no such file, or it holds no progress
        """
        path = Path(os.path.expanduser(path))
        document, dropped = storage.read_export(path)
        if dropped:
            self._notices["imported"] = _told_dropped(path.name, dropped)
        self._save(records.merge, document)
        return document

    def reset(self) -> Path | None:
        """Begin anew. Returns the dated backup of what there was, or None if there was nothing.

        Raises
        ------
        ProgressError : no backup can be made; then nothing has changed
        """
        with self._guard:
            try:
                backup = self._move_away()
            except FileNotFoundError:
                backup = None
            except (OSError, NotImplementedError, NewerVersion) as error:
                why = error if isinstance(error, NewerVersion) else storage.reason(error)
                raise ProgressError(
                    f"Your progress was not reset. No backup of {self.path} can be made: {why}."
                ) from error
            self._waiting.clear()
            self._notices.clear()
            self._known = records.empty()
            return backup

    def _move_away(self) -> Path:
        if self._waiting:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(self.path):
            if self._waiting:
                files.write(self.path, self._with_waiting(self._load(mend=True)))
            backup = storage.beside(self.path, "backup")
            os.replace(self.path, backup)
        return backup

    def _update(self, **what) -> None:
        # Through the reader, which would leave an unsound entry out the next time.
        change = json.dumps(records.empty() | what).encode()
        change, unsound = records.parse(change)
        if unsound:
            raise ValueError(f"no progress that can be recorded: {what}; see quiz/records.py")
        self._save(records.add, change)

    def _save(self, join: Callable | None = None, change: dict | None = None) -> None:
        """Write this change and what waits, merged into what the file holds now.

        Where that cannot be, it waits on, and `warning` says why.
        """
        with self._guard:
            if join:
                self._waiting.append((join, change))
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with files.locked(self.path):
                    document = self._with_waiting(self._load(mend=True))
                    files.write(self.path, document)
            except (OSError, NotImplementedError, NewerVersion) as error:
                self._note_unsaved(error)
            else:
                self._known = document
                self._waiting.clear()
                self._notices.pop("unsaved", None)

    def _with_waiting(self, document: dict) -> dict:
        for join, change in self._waiting:
            document = join(document, change)
        return document

    def _load(self, mend: bool = False) -> dict:
        """What the file holds. With ``mend``, which needs the lock, damage is set aside.

        Raises
        ------
        OSError, NewerVersion, and without ``mend`` BrokenFile
        """
        try:
            document, dropped = records.parse(self.path.read_bytes())
        except FileNotFoundError:
            return records.empty()
        except BrokenFile:
            self._notices["broken"] = f"{self.path.name} is damaged and cannot be read."
            if not mend:
                raise
            self._set_aside(os.replace, "broken", f"{self.path.name} was damaged.")
            return records.empty()
        if dropped:
            self._notices["dropped"] = told = _told_dropped(self.path.name, dropped)
            if mend:
                self._set_aside(shutil.copy2, "dropped", told)
        return document

    def _set_aside(self, move: Callable, notice: str, told: str) -> None:
        kept = storage.beside(self.path, "broken")
        move(self.path, kept)
        self._notices[notice] = f"{told} The file as it was is kept beside it as {kept.name}."

    def _note_unsaved(self, error: Exception) -> None:
        if isinstance(error, NewerVersion):
            why = f"{self.path.name} is left alone: {error}. Update the course; until then,"
        else:
            why = f"Your progress cannot be saved in {self.path.name}: {storage.reason(error)}. So"
        self._notices["unsaved"] = (
            f"{why} what you do is kept only until this session ends. Export it before, and set "
            "COURSE_PROGRESS to a file that you can write."
        )


def _told_dropped(name: str, dropped: list[str]) -> str:
    more = f" and {len(dropped) - 3} more" if len(dropped) > 3 else ""
    return f"Damaged entries of {name} are left out: {', '.join(dropped[:3])}{more}."
