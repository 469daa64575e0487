"""Where the course keeps its own files. Standard library only: no command waits for torch here."""

from __future__ import annotations

from pathlib import Path


def data_dir() -> Path:
    """The course's data files: ``data/`` of a clone, else the copy in the installed package.

    Raises:
        FileNotFoundError: neither is there (an incomplete installation).
    """
    package = Path(__file__).resolve().parent
    places = [package.parent / "data", package / "_data"]
    for place in places:
        # Some other package may own a folder called data beside an installed course.
        if (place / "flower_photos.csv").is_file():
            return place
    raise FileNotFoundError(
        f"The course's data files are in neither {places[0]} nor {places[1]}. "
        "Install the course again, or run it from a fresh clone."
    )
