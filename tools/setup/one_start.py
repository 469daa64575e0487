"""One start of the course at a time: a lock that ends with the process that holds it.

Standard library only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if os.name == "nt":
    import msvcrt
else:
    import fcntl

WAIT = 0.2  # seconds between two tries


@contextmanager
def one_start(file: Path) -> Iterator[None]:
    """Hold the lock on ``file`` meanwhile; wait, and say so once, where another start holds it.

    The system takes the lock from a process that ends, however it ends. An installer that outlives
    its start goes on holding it, for it inherits the open file. Where a file cannot be locked, on
    some network drives, nothing is.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # we may not write here: what needs to will say so
        yield
        return
    try:
        os.set_inheritable(descriptor, os.name != "nt")
        if not _locked(descriptor):
            print("Another start of the course is at work here: waiting for it …", flush=True)
            while not _locked(descriptor):
                time.sleep(WAIT)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock if it is free. False: another process has it."""
    try:
        if os.name == "nt":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # as POSIX says it, and as Windows does
        return False
    except OSError:
        return True  # no locks here
    return True
