"""One file from the network: by one notebook at a time, verified, and never without an end."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import requests
from filelock import Timeout

from course_utils.store import files, messages, network

WAIT_SECONDS = 600  # for another notebook that fetches the same thing
MOST_SECONDS = 3600  # for one file, whatever arrives
SLOW_SECONDS, SLOW_BYTES = 20, 50_000  # fewer bytes than these in that time: given up
SCRATCH = ".fetching-"
STRAY_SECONDS = 24 * 3600


class DownloadFailed(Exception):
    """A source did not give the file; the message says why, without a full stop."""


@contextmanager
def alone(target: Path) -> Iterator[Path]:
    """Hold the lock beside ``target``; gives an empty folder on its disk that goes afterwards.

    Whoever comes second waits, and then finds what the first has fetched: look before you fetch.

    Raises
    ------
    DownloadFailed : another process keeps the lock, or there can be none
    """
    with _locked(target):
        scratch = target.with_name(f"{SCRATCH}{target.name}")
        _remove(scratch)  # nobody else works there: we have the lock
        for stray in target.parent.glob(f"{SCRATCH}*"):  # of a process that was killed
            with suppress(OSError):
                if time.time() - stray.stat().st_mtime > STRAY_SECONDS:
                    _remove(stray)
        try:
            scratch.mkdir()
            yield scratch
        finally:
            _remove(scratch)


def _locked(target: Path) -> AbstractContextManager:
    try:
        with suppress(Timeout):
            return files.locked(target, min(1, WAIT_SECONDS))
        messages.show_notice(
            f"Another notebook is fetching {target.name}. This one waits for it, "
            f"{WAIT_SECONDS / 60:.0f} minutes at most."
        )
        return files.locked(target, WAIT_SECONDS)
    except Timeout as error:
        raise DownloadFailed(
            f"another notebook has been fetching it for over {WAIT_SECONDS / 60:.0f} minutes: wait "
            f"until it is ready, or shut that notebook down (its lock is {target}.lock)"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise DownloadFailed(f"the lock {target}.lock cannot be had ({error})") from error


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def download(url: str, path: Path, *, at_most: int, sha256: str = "", timeout: float = 5.0) -> None:
    """Write what ``url`` gives to ``path``, with a progress bar.

    A server that answers in drops ends it too, in the header or the body, and Stop does at once.

    Parameters
    ----------
    path : beside its final place, as in the folder of `alone`: it may hold a part afterwards
    at_most : bytes; more are not taken
    sha256 : the first hexadecimal digits, or all, that the file must have
    timeout : seconds the server may stay silent

    Raises
    ------
    DownloadFailed : no file, not the right one, or not in time
    """
    if why := network.obstacle(url):
        raise DownloadFailed(why)
    transfer = _Transfer(url, path, at_most, timeout)
    transfer.start()
    try:
        transfer.wait()
    finally:
        transfer.stop()
    if transfer.error:
        raise DownloadFailed(transfer.error)
    if not transfer.digest.hexdigest().startswith(sha256):
        raise DownloadFailed(f"wrong bytes ({transfer.received:,} of them)")


def one_line(said: object, width: int = 200) -> str:
    """The message of an error, or any text, in one line that is not too long."""
    return " ".join(str(said).split())[:width] or type(said).__name__


class _Transfer(threading.Thread):
    """The bytes come in a thread of their own. A header that drips blocks requests for hours,
    whatever its timeout: such a thread is left behind."""

    def __init__(self, url: str, path: Path, at_most: int, timeout: float) -> None:
        super().__init__(daemon=True)
        self.url, self.path, self.at_most, self.timeout = url, path, at_most, timeout
        self.digest, self.received, self.total = hashlib.sha256(), 0, None
        self.error = ""
        self.response: requests.Response | None = None
        self.answered = self.stopped = False
        # Not `join` and `is_alive`: after an interrupted join Python takes a thread for ended.
        self.done = threading.Event()

    def run(self) -> None:
        try:
            with requests.get(self.url, stream=True, timeout=self.timeout) as self.response:
                self.response.raise_for_status()
                length = self.response.headers.get("Content-Length", "")
                self.total = int(length) if length.isdecimal() else None
                self.answered = True
                with self.path.open("wb") as file:
                    for chunk in self.response.iter_content(2**14):
                        self._take(chunk, file)
        except Exception as error:  # nobody sees what ends a thread; requests lets many kinds pass
            self.error = one_line(error)
        finally:
            self.done.set()

    def _take(self, chunk: bytes, file: BinaryIO) -> None:
        self.received += len(chunk)
        if self.stopped or self.received > self.at_most:
            raise DownloadFailed(f"more than {self.at_most:,} bytes")
        self.digest.update(chunk)
        file.write(chunk)

    def wait(self) -> None:
        """Return when all has arrived or failed; raise when it takes too long."""
        start = checked = time.monotonic()
        before = 0
        with ExitStack() as stack:
            bar = None
            while not self.done.wait(0.1):
                if bar is None and self.answered:
                    bar = messages.progress(None, self.path.name, total=self.total, unit="B")
                    stack.enter_context(closing(bar))
                if bar is not None:
                    bar.update(self.received - bar.n)
                now = time.monotonic()
                if now - start > MOST_SECONDS:
                    raise DownloadFailed(f"given up after {now - start:.0f} s")
                if now - checked > SLOW_SECONDS:
                    arrived, checked, before = self.received - before, now, self.received
                    if arrived < SLOW_BYTES:
                        raise DownloadFailed(f"too slow: {arrived:,} bytes in {SLOW_SECONDS} s")

    def stop(self) -> None:
        self.stopped = True
        if not self.done.is_set() and self.response is not None:
            with suppress(Exception):  # ends a wait for the next bytes
                self.response.raw.shutdown()
            self.done.wait(1)
