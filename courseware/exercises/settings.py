"""Settings of Python and of its libraries: how each is read, and how it is written."""

from __future__ import annotations

import gc
import locale
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
import torchvision
from PIL import Image, ImageFile


class Setting(NamedTuple):
    """Something that holds for the whole process: ``write(read())`` changes nothing."""

    read: Callable
    write: Callable

    def put_back(self, before) -> None:
        """Write what was read, where it is another now."""
        if self.read() != before:
            self.write(before)


def attribute(owner, name: str) -> Setting:
    """An attribute of a module or another object that everybody shares."""
    return Setting(partial(getattr, owner, name), partial(setattr, owner, name))


def contents(container) -> Setting:
    """The entries of a dictionary or a list."""

    def write(before) -> None:
        container.clear()
        container.extend(before) if isinstance(container, list) else container.update(before)

    return Setting(container.copy, write)


def of_python() -> Iterator[Setting]:
    for name in ("stdin", "stdout", "stderr"):
        yield attribute(sys, name)
    for entries in (sys.path, sys.meta_path, sys.path_hooks, os.environ, logging.root.handlers):
        yield contents(entries)
    yield Setting(_folder, _enter)
    yield Setting(_umask, os.umask)
    yield Setting(sys.gettrace, sys.settrace)
    yield Setting(sys.getprofile, sys.setprofile)
    yield Setting(sys.getrecursionlimit, sys.setrecursionlimit)
    yield Setting(sys.getswitchinterval, sys.setswitchinterval)
    yield Setting(gc.isenabled, lambda on: gc.enable() if on else gc.disable())
    yield Setting(gc.get_threshold, lambda thresholds: gc.set_threshold(*thresholds))
    yield Setting(
        partial(locale.setlocale, locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL)
    )
    yield Setting(socket.getdefaulttimeout, socket.setdefaulttimeout)
    yield Setting(
        partial(multiprocessing.get_start_method, True),
        partial(multiprocessing.set_start_method, force=True),
    )
    yield attribute(tempfile, "tempdir")
    yield attribute(logging.root, "level")
    yield attribute(logging.root.manager, "disable")


def _folder() -> str | None:
    """The working folder; None where it was removed."""
    with suppress(OSError):
        return os.getcwd()


def _enter(folder: str | None) -> None:
    with suppress(OSError, TypeError):  # it was removed
        os.chdir(folder)


def _umask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mask


def of_signals() -> Iterator[Setting]:
    """Handlers, the mask, and alarms that would ring later."""
    if threading.current_thread() is not threading.main_thread():  # nobody else may set them
        return
    for number in signal.valid_signals():
        if signal.getsignal(number) is not None:  # None: of C code, and could not be put back
            yield Setting(partial(signal.getsignal, number), partial(signal.signal, number))
    if hasattr(signal, "pthread_sigmask"):
        yield Setting(
            partial(signal.pthread_sigmask, signal.SIG_BLOCK, ()),
            partial(signal.pthread_sigmask, signal.SIG_SETMASK),
        )
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            yield Setting(
                partial(signal.getitimer, timer),
                lambda times, timer=timer: signal.setitimer(timer, *times),
            )


def of_libraries() -> Iterator[Setting]:
    yield Setting(np.geterr, lambda kinds: np.seterr(**kinds))
    yield Setting(np.get_printoptions, lambda options: np.set_printoptions(**options))
    yield attribute(Image, "MAX_IMAGE_PIXELS")
    yield attribute(ImageFile, "LOAD_TRUNCATED_IMAGES")
    yield Setting(torchvision.get_image_backend, torchvision.set_image_backend)
