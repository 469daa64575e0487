"""Which files of a folder of pictures count, ``folder/class/…/picture``. None is opened here."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
BESIDE = "it lies beside the class folders"
DEEPEST = 20  # folders in folders
_HIDDEN = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}


def folded(name: str) -> str:
    """Equal for names that are one on a system that ignores case, or how accents are stored."""
    return unicodedata.normalize("NFC", name).casefold()


def readable(name: str) -> str:
    """The name as text that can be printed: bytes that are no UTF-8 as ``\\udce9``."""
    return name.encode("utf-8", "backslashreplace").decode()


def subfolders(folder: Path, left_out: dict[str, str]) -> list[str]:
    """Names of the folders in it, sorted. What else there is goes into ``left_out`` with a reason.

    Raises FileNotFoundError or NotADirectoryError, which names the path.
    """
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}; this notebook runs in {Path.cwd()}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder with one folder a class")
    names = []
    for entry in _entries(folder, "", left_out):
        if entry.is_dir(follow_symlinks=False):
            names.append(entry.name)
        else:
            left_out[entry.name] = BESIDE
    return names


def pictures(folder: Path, name: str, left_out: dict[str, str]) -> list[str]:
    """Files in ``folder/name`` and below, as paths inside it, in sorted order."""
    return [path.removeprefix(f"{name}/") for path in _walk(folder, name, left_out)]


def _walk(folder: Path, inside: str, left_out: dict[str, str]) -> Iterator[str]:
    if inside.count("/") >= DEEPEST:
        left_out[inside] = f"it lies more than {DEEPEST} folders deep"
        return
    for entry in _entries(folder, inside, left_out):
        place = f"{inside}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, place, left_out)
        else:
            yield place


def _entries(folder: Path, inside: str, left_out: dict[str, str]) -> list[os.DirEntry]:
    """What is there, sorted by name, without hidden things and links."""
    try:
        with os.scandir(folder / inside) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        left_out[inside] = f"{inside or folder} cannot be opened ({error.strerror})"
        return []
    seen = []
    for entry in entries:
        place = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name.startswith((".", "~$")) or entry.name.lower() in _HIDDEN:
            left_out[place] = "hidden"
        elif entry.is_symlink() or getattr(entry, "is_junction", lambda: False)():
            left_out[place] = "it is a link, which could lead anywhere"
        else:
            seen.append(entry)
    return seen
