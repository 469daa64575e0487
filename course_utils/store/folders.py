"""Where the course keeps its own files. No command waits for torch here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

APP_NAME = "transfer-learning-measured"


def data_dir() -> Path:
    """The course's data files: ``data/`` of a clone, else the copy in the installed package.

    Raises:
        FileNotFoundError: neither is there (an incomplete installation).
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


def cache_dir() -> Path:
    """The folder for what the course downloads or computes once; made when it is missing.

    ``COURSE_CACHE_DIR`` overrides the place that belongs to it on this system.

    Raises:
        OSError: the folder cannot be made or written.
    """
    override = os.environ.get("COURSE_CACHE_DIR")
    folder = Path(override).expanduser() if override else user_cache_path(APP_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(
            f"The course cannot write its cache folder {folder} ({error}). "
            "Set COURSE_CACHE_DIR to a folder you can write."
        ) from error
    return folder
