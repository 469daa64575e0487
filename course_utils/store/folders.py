"""Where the course keeps its own files. No command waits for torch here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

APP_NAME = "transfer-learning-measured"


def data_dir() -> Path:
    """The course's data files: ``data/`` of a clone, else the copy in the installed package.

    Raises FileNotFoundError when neither is there (an incomplete installation).
    """
    package = Path(__file__).resolve().parent.parent
    places = [package.parent / "data", package / "_data"]
    for place in places:
        # Some other package may own a folder called data beside an installed course.
        if (place / "flower_photos.csv").is_file():
            return place
    raise FileNotFoundError(
        f"The course's data files are in neither {places[0]} nor {places[1]}. "
        "Install the course again, or run it from a fresh clone."
    )


def named_by(variable: str) -> Path | None:
    """The place that an environment variable names, absolute; None where it is not set or empty.

    ``~`` and ``~name`` are home folders; a relative path counts from the current folder. Whether
    anything is there is not looked at. Raises OSError when its ``~`` stands for nobody's home.
    """
    given = os.environ.get(variable, "").strip()
    return _expanded(given, f"{variable} is {given}", variable) if given else None


def cache_dir() -> Path:
    """The folder for what the course downloads or computes once; made when it is missing.

    ``COURSE_CACHE_DIR`` overrides the place that belongs to it on this system. Raises OSError when
    the folder cannot be made or written, or this user has no home folder.
    """
    folder = named_by("COURSE_CACHE_DIR") or _own(user_cache_path, "COURSE_CACHE_DIR")
    try:
        make_writable(folder)
    except OSError as error:
        raise OSError(
            f"The course cannot write its cache folder {folder} ({error}). "
            "Set COURSE_CACHE_DIR to a folder you can write."
        ) from error
    return folder


def progress_dir() -> Path:
    """This user's folder for what the learner has done; it need not be there yet.

    Raises OSError when this user has no home folder.
    """
    return _own(user_data_path, "COURSE_PROGRESS")


def make_writable(folder: Path) -> None:
    """Make a folder where it is missing, and try to write in it; OSError where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def _own(place: Callable[[str], Path], instead: str) -> Path:
    """The folder that this system gives the course, or an OSError that names a variable to set."""
    try:
        folder = str(place(APP_NAME))
    except RuntimeError:  # platformdirs found no home; earlier versions return the ~
        folder = "~"
    return _expanded(folder, "The course keeps its files in your home folder", instead)


def _expanded(path: str, what: str, variable: str) -> Path:
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):  # left as it was: it would become a folder called ~
        raise OSError(
            f"{what}, and there is no home folder {Path(path).parts[0]} on this machine. "
            f"Set {variable} to a whole path, without ~."
        )
    return Path(os.path.abspath(expanded))
