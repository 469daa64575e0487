"""Whole files on a disk that may fail: read when regular, replaced as a whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, SoftFileLock, Timeout

LOCK_SECONDS = 5.0
STRAY_SECONDS = 24 * 3600
KINDS = {"d": "a folder", "p": "a named pipe", "s": "a socket", "c": "a device", "b": "a device"}


def locked(path: Path, seconds: float | None = None) -> AbstractContextManager:
    """A context that holds the lock beside a file; the system frees it when its process ends.

    Raises OSError when it cannot be had within ``seconds``, by default `LOCK_SECONDS`.
    """
    seconds = LOCK_SECONDS if seconds is None else seconds
    target = os.path.realpath(path)
    try:
        return FileLock(f"{target}.lock").acquire(seconds, poll_interval=0.01)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        # This network drive knows no locks; a file that is there or not stands for one.
        return SoftFileLock(f"{target}.softlock").acquire(seconds, poll_interval=0.01)


def read(path: Path, at_most: int) -> bytes:
    """The content of a regular file.

    Raises OSError when there is none, it holds more than ``at_most`` bytes, or cannot be read.
    """
    regular(path)
    with open(path, "rb") as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise OSError(errno.EFBIG, f"it holds over {at_most:,} bytes", str(path))
    return content


def regular(path: str | Path) -> os.stat_result:
    """About a regular file, or the one that a link leads to; an OSError about anything else.

    Look before you open: a pipe would wait for its writer, and a device may never end.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.filemode(found.st_mode)[0], "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    return found


def write(path: Path, content: bytes) -> None:
    """Replace a file by one that holds ``content``; see `replacing`."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write, which takes the place of ``path`` when the block has ended well.

    Whoever reads ``path``, and whenever this process is killed, sees all or nothing. A file that
    was there keeps its mode and, where that can be, its owner. A symbolic link stays: what it
    leads to is replaced. For a file that others change too, call it under its lock.

    Raises OSError when it cannot be written, or is no regular file; then all is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        before = regular(target)
    except FileNotFoundError:
        before = None
    remove_strays(target.parent, f".{glob.escape(target.name)}.????????.tmp")
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(scratch, "xb") as file:
            if before:  # before anything is in it that others may not read
                with suppress(OSError, AttributeError):  # only root may give a file away
                    os.chown(scratch, before.st_uid, before.st_gid)
                if scratch.stat().st_mode != before.st_mode:
                    scratch.chmod(stat.S_IMODE(before.st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(scratch, target)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise


def _replace(source: Path, target: Path) -> None:
    for _ in range(9):  # Windows refuses while another process reads the target, for a moment
        with suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(0.01)
    os.replace(source, target)


def remove_strays(folder: Path, pattern: str) -> None:
    """Remove what killed writers left: files and folders like ``pattern``.

    What was changed within a day stays: it may still be written.
    """
    for stray in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - stray.stat().st_mtime > STRAY_SECONDS:
                shutil.rmtree(stray) if stray.is_dir() else stray.unlink()


def beside(path: Path, word: str) -> Path:
    """A dated name in the file's folder that nothing has yet: progress.broken-20250131-175959.json.

    Call it under the lock, so that nobody else takes the name.
    """
    start = f"{path.stem}.{word}-{time.strftime('%Y%m%d-%H%M%S')}"
    name, number = path.with_name(f"{start}{path.suffix}"), 1
    while os.path.lexists(name):
        number += 1
        name = path.with_name(f"{start}-{number}{path.suffix}")
    return name


def reason(error: Exception) -> str:
    """Why, in words without the machine's folders: a notebook's output may be shown to others."""
    if isinstance(error, Timeout):
        return "another program keeps its lock"
    return (getattr(error, "strerror", None) or "").lower() or str(error).rstrip(".")
