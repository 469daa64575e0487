"""The folder .venv: whether the course made it, and how it is emptied without touching more.

It is the course's when the course found it empty, or not there, and wrote its mark into it first.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from tools.setup.install_errors import SetupError

MARK, STAMP = "course-wheels", "course-stamp"
ADOPTED = "adopted"  # second word of the mark: the environment was there before the course
# What venv, pip and the course put there. The mark goes last: a killed removal can go on.
CONTENTS = (
    *(STAMP, "course-fetched", "bin", "Scripts", "lib", "lib64", "Lib", "include", "Include"),
    *("share", "etc", "man", ".gitignore", "pyvenv.cfg", MARK),
)


def text(path: Path) -> str:
    """What a small file says; "" where there is none."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip()
    return ""


def wheels(folder: Path) -> str:
    """Which wheels of PyTorch the mark names, "cpu" or "default"; "" without a mark."""
    return next(iter(text(folder / MARK).split()), "")


def is_ours(folder: Path) -> bool:
    """Whether the course made what is in ``folder``, and may remove it."""
    return bool(wheels(folder)) and ADOPTED not in text(folder / MARK).split()


def mark(folder: Path, wheels: str) -> None:
    """Write down that the course installs these wheels into ``folder``, before it does."""
    (folder / MARK).write_text(wheels, encoding="utf-8")


def adopt(folder: Path, wheels: str) -> None:
    """As `mark`, for an environment that works and that the course did not make."""
    mark(folder, f"{wheels} {ADOPTED}")


def refuse_foreign(folder: Path) -> None:
    """Raise a SetupError unless ``folder`` is not there, empty, or ours."""
    if not os.path.lexists(folder) or is_ours(folder):
        return
    if not (folder.is_dir() and not any(folder.iterdir())):
        raise SetupError(
            f"The course keeps its packages in {folder}.\nWhat is there cannot be used: "
            f"{describe(folder)}. The course did not make it, so nothing in it was touched.\n"
            f"What to do: {remedy(folder)}, then the same command again."
        )


def claim(folder: Path, wheels: str) -> None:
    """Make ``folder`` ready for a new environment: made, or emptied of one of ours, and marked.

    Raises
    ------
    SetupError : something else is there.
    """
    refuse_foreign(folder)
    folder.mkdir(exist_ok=True)
    remove(folder, but=MARK)
    mark(folder, wheels)


def remove(folder: Path, but: str = "") -> list[str]:
    """Remove from ``folder`` what the course put there; the names of what is left.

    Links in it are removed, not followed.
    """
    for name in CONTENTS:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif name != but:
            path.unlink(missing_ok=True)
    return sorted(path.name for path in folder.iterdir())


def remedy(folder: Path) -> str:
    """What to do, in words, so that a new environment can be made."""
    if is_ours(folder):
        return "python3 course.py clean"
    if folder.is_symlink():
        return f"let the link {folder} lead to an empty folder, or remove the link"
    return f"rename {folder}, or remove it if nothing needs it"


def describe(folder: Path) -> str:
    """What is there, in words: a file; a link to …, which is not there; a folder with …"""
    lead = f"a link to {os.path.realpath(folder)}, " if folder.is_symlink() else ""
    if not folder.exists():
        return f"{lead}which is not there"
    if not folder.is_dir():
        return f"{lead}a file"
    names = sorted(path.name for path in folder.iterdir())
    if "pyvenv.cfg" in names:
        return f"{lead}a Python environment"
    return f"{lead}a folder with {listed(names)} in it"


def listed(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
