"""Files on a disk that may fail: replaced as a whole, set aside under a free name, or refused."""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from course_utils.quiz import records
from course_utils.quiz.records import BrokenFile, NewerVersion, ProgressError

LOCK_SECONDS = 5


def locked(path: Path):
    """A context that holds the lock beside a file; the system frees it when its process ends.

    Raises
    ------
    OSError : it cannot be had within `LOCK_SECONDS`
    """
    return FileLock(f"{path}.lock").acquire(timeout=LOCK_SECONDS, poll_interval=0.01)


def write(path: Path, document: dict) -> None:
    """Replace a file: whoever reads it, and whenever this process is killed, sees all or nothing.

    For a file that others write too, call it under its lock.

    Raises
    ------
    OSError : it cannot be written; the file is as it was
    """
    scratch = path.with_name(f".{path.name}.tmp")  # one name: the next write clears a stray one
    try:
        scratch.unlink(missing_ok=True)
        with scratch.open("x", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _replace(scratch, path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise


def _replace(source: Path, target: Path, tries: int = 10) -> None:
    # Windows refuses while another process reads the target, which takes it a moment.
    for left in reversed(range(tries)):
        try:
            return os.replace(source, target)
        except PermissionError:
            if not left:
                raise
            time.sleep(0.01)


def beside(path: Path, word: str) -> Path:
    """A dated name in the file's folder that nothing has yet: progress.broken-20250131-175959.json.

    Call it under the lock, so that nobody else takes the name.
    """
    start = f"{path.stem}.{word}-{time.strftime('%Y%m%d-%H%M%S')}"
    endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    names = (path.with_name(f"{start}{ending}{path.suffix}") for ending in endings)
    return next(name for name in names if not os.path.lexists(name))


def read_export(path: Path) -> tuple[dict, list[str]]:
    """What an exported file holds, and the names of its damaged entries, which are left out.

    Raises
    ------
    ProgressError : it is not there, or no file of progress
    """
    try:
        return records.parse(path.read_bytes())
    except FileNotFoundError as error:
        raise ProgressError(
            f"There is no file {path}. Give the path of one that was exported by this course."
        ) from error
    except OSError as error:
        raise ProgressError(f"{path} cannot be read: {reason(error)}.") from error
    except NewerVersion as error:
        raise ProgressError(f"{path} cannot be used: {error}. Update the course.") from error
    except BrokenFile as error:
        raise ProgressError(f"{path} is no file of this course's progress: {error}.") from error


def reason(error: Exception) -> str:
    """Why, in words without the machine's folders: a notebook's output may be shown to others."""
    if isinstance(error, Timeout):
        return "another program keeps its lock"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
