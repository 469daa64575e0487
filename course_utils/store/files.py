"""Files on a disk that may fail: replaced as a whole, or not at all; and the lock beside one."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

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
