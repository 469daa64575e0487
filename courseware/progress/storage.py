"""Files on a disk that may fail: replaced as a whole, set aside under a free name, or refused."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from filelock import Timeout

from courseware.progress import records
from courseware.progress.records import BrokenFile, NewerVersion, ProgressError


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
