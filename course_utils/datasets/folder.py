"""Pictures of your own, ``folder/class/picture``, as ImageSets and a report on what was found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from course_utils.datasets.pictures import read_pictures, room
from course_utils.datasets.report import FolderReport, folded
from course_utils.images import ImageSet

SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
BESIDE = "it lies beside the class folders"
DEEPEST = 20  # folders in folders
HIDDEN = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}


def load_folder(
    folder: str | Path, size: int = 128, *, classes: Sequence[str] | None = None, smallest: int = 16
) -> tuple[ImageSet, FolderReport]:
    """Read ``folder/class/picture``; pictures in folders below a class belong to that class.

    What a file holds counts, not what it is called. Hidden files and links are passed over. What
    cannot be used is left out and named in the report, which also names pictures that lie there
    twice. Classes are numbered in the order of their names, as torchvision's ImageFolder does.

    Parameters
    ----------
    size : side of the images in pixels; `pictures.decode` says how they are cut
    classes : the classes in their order, as ``train.classes`` (None: the folders that hold a
        picture). A class without a folder keeps its number; other folders are left out
    smallest : pixels that the shorter side of a picture must have

    Returns
    -------
    ImageSet in sorted order, with ``names`` as paths inside the class's folder; and the report

    Raises
    ------
    FileNotFoundError, NotADirectoryError : no such folder
    ValueError : pictures of fewer than two classes (with ``classes``: of none), splits in place of
        classes, or a folder beside ``train`` without ``classes``
    MemoryError : they would fill more than half of this machine's memory
    """
    folder = Path(folder)
    left_out: dict[str, str] = {}
    names = _subfolders(folder, left_out)
    _check_layout(folder, names, classes, left_out)
    if classes is not None:
        other = [name for name in names if _readable(name) not in classes]
        left_out |= dict.fromkeys(other, f"it is none of the classes {tuple(classes)}")
        names = [name for name in names if name not in other]
    files = [place for name in names for place in _files(folder, name, left_out)]
    images = room(len(files), size)
    kept: list[list[str]] = []
    found = read_pictures([folder / place for place in files], size, smallest=smallest)
    for place, pixels in zip(files, found, strict=True):
        if isinstance(pixels, str):
            left_out[place] = pixels
        else:
            images[len(kept)] = pixels
            kept.append(_readable(place).split("/", 1))
    there = sorted({name for name, _ in kept})
    for name in names:
        if _readable(name) not in there:
            left_out.setdefault(name, "it holds no picture that can be used")
    order = tuple(there if classes is None else classes)
    labels = torch.tensor([order.index(name) for name, _ in kept], dtype=torch.int64)
    inside = tuple(path for _, path in kept)
    data = ImageSet(torch.from_numpy(images[: len(kept)]), labels, order, inside)
    report = FolderReport.of({"": data}, {_readable(p): why for p, why in left_out.items()})
    if len(there) < (2 if classes is None else 1):
        raise ValueError(
            f"{folder} holds pictures of {there or 'no class'}; expected at least two folders with "
            f"pictures, one folder a class. Found:\n{report}"
        )
    return data, report


def load_splits(
    folder: str | Path, size: int = 128, *, smallest: int = 16
) -> tuple[dict[str, ImageSet], FolderReport]:
    """Read ``folder/split/class/picture`` by `load_folder`, each split with the classes of train.

    The folders are called train, val (or valid, validation, dev) and test. The report also names
    pictures that lie in several splits.

    Raises ValueError when there is no folder train, and what `load_folder` raises.
    """
    folder = Path(folder)
    left_out: dict[str, str] = {}
    found = _subfolders(folder, left_out)
    splits = [name for name in found if folded(name) in SPLITS]
    splits.sort(key=lambda name: not folded(name).startswith("train"))
    if not splits or not folded(splits[0]).startswith("train"):
        raise ValueError(f"no folder train in {folder}, but {found}: load_folder reads classes")
    left_out |= {name: "it is no split" for name in found if name not in splits}
    sets: dict[str, ImageSet] = {}
    for split in splits:
        classes = sets[splits[0]].classes if sets else None
        sets[split], report = load_folder(folder / split, size, classes=classes, smallest=smallest)
        left_out |= {f"{split}/{place}": reason for place, reason in report.left_out.items()}
    return sets, FolderReport.of(sets, left_out)


def _check_layout(
    folder: Path, names: list[str], classes: Sequence[str] | None, left_out: dict[str, str]
) -> None:
    if isinstance(classes, str):
        raise TypeError(f"classes are {classes!r}; expected a sequence of names")
    if not names:
        wrong = left_out.get("") or f"no class folders in {folder}"
        wrong = f"pictures lie in {folder} itself" if BESIDE in left_out.values() else wrong
        raise ValueError(f"{wrong}; expected one folder a class, with its pictures inside")
    if all(folded(name) in SPLITS for name in names):
        raise ValueError(f"{names} in {folder} look like splits, not like classes: use load_splits")
    whole = folder.resolve()
    beside_train = folded(whole.name) in SPLITS - {"train"} and whole.with_name("train").is_dir()
    if classes is None and beside_train:
        raise ValueError(
            f"{folder} lies beside train. Numbered by itself, it could give a class another "
            "number than train does: give classes=train.classes, or read both by load_splits"
        )


def _readable(name: str) -> str:
    """The name as text that can be printed: bytes that are no UTF-8 as ``\\udce9``."""
    return name.encode("utf-8", "backslashreplace").decode()


# ---- which files count: none is opened here, and what is passed over goes into left_out


def _subfolders(folder: Path, left_out: dict[str, str]) -> list[str]:
    """Names of the folders in it, sorted."""
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}; this notebook runs in {Path.cwd()}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder with one folder a class")
    entries = _entries(folder, "", left_out)
    left_out |= {entry.name: BESIDE for entry in entries if not entry.is_dir()}
    return [entry.name for entry in entries if entry.is_dir()]


def _files(folder: Path, inside: str, left_out: dict[str, str]) -> Iterator[str]:
    """Files in ``folder/inside`` and below, as paths inside ``folder``, in sorted order."""
    if inside.count("/") >= DEEPEST:
        left_out[inside] = f"it lies more than {DEEPEST} folders deep"
        return
    for entry in _entries(folder, inside, left_out):
        place = f"{inside}/{entry.name}"
        if entry.is_dir():
            yield from _files(folder, place, left_out)
        else:
            yield place


def _entries(folder: Path, inside: str, left_out: dict[str, str]) -> list[os.DirEntry]:
    """What is there, sorted by name, without hidden things and links."""
    try:
        entries = sorted(os.scandir(folder / inside), key=lambda entry: entry.name)
    except OSError as error:
        left_out[inside] = f"{inside or folder} cannot be opened ({error.strerror})"
        return []
    seen = []
    for entry in entries:
        place = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name.startswith((".", "~$")) or entry.name.lower() in HIDDEN:
            left_out[place] = "hidden"
        elif entry.is_symlink() or getattr(entry, "is_junction", lambda: False)():
            left_out[place] = "it is a link, which could lead anywhere"
        else:
            seen.append(entry)
    return seen
