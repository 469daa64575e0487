"""Pictures of your own, ``folder/class/picture``, as ImageSets and a report on what was found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from course_utils.datasets.pictures import read_pictures
from course_utils.datasets.report import FolderReport
from course_utils.datasets.scan import BESIDE, SPLITS, folded, pictures, readable, subfolders
from course_utils.images import ImageSet


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
    folder, left_out = Path(folder), {}
    names = subfolders(folder, left_out)
    _check_layout(folder, names, classes, left_out)
    if classes is not None:
        other = [name for name in names if readable(name) not in classes]
        left_out |= dict.fromkeys(other, f"it is none of the classes {tuple(classes)}")
        names = [name for name in names if name not in other]
    files = [(name, inside) for name in names for inside in pictures(folder, name, left_out)]
    data = _read(folder, files, size, classes, smallest, left_out)
    for name in names:
        if not data.counts().get(readable(name)):
            left_out.setdefault(name, "it holds no picture that can be used")
    left_out = {readable(place): reason for place, reason in left_out.items()}
    report = FolderReport.of({"": data}, left_out)
    there = [name for name, count in data.counts().items() if count]
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
    folder, left_out = Path(folder), {}
    found = subfolders(folder, left_out)
    splits = sorted((name for name in found if folded(name) in SPLITS), key=_train_last)[::-1]
    if not splits or not _train_last(splits[0]):
        raise ValueError(f"no folder train in {folder}, but {found}: load_folder reads classes")
    left_out |= {name: "it is no split" for name in found if name not in splits}
    sets: dict[str, ImageSet] = {}
    for split in splits:
        classes = sets[splits[0]].classes if sets else None
        sets[split], report = load_folder(folder / split, size, classes=classes, smallest=smallest)
        left_out |= {f"{split}/{place}": reason for place, reason in report.left_out.items()}
    return sets, FolderReport.of(sets, left_out)


def _train_last(split: str) -> bool:
    return folded(split).startswith("train")


def _read(folder, files, size, classes, smallest, left_out) -> ImageSet:
    """The pictures that can be used; the others go into ``left_out`` with a reason."""
    images, kept = _room(len(files), size), []
    read = read_pictures(
        [folder / name / inside for name, inside in files], size, smallest=smallest
    )
    for (name, inside), (_, found) in zip(files, read, strict=True):
        if isinstance(found, str):
            left_out[f"{name}/{inside}"] = found
        else:
            images[len(kept)] = found
            kept.append((readable(name), readable(inside)))
    classes = tuple(sorted({name for name, _ in kept}) if classes is None else classes)
    labels = torch.tensor([classes.index(name) for name, _ in kept], dtype=torch.int64)
    names = tuple(inside for _, inside in kept)
    return ImageSet(torch.from_numpy(images[: len(kept)]), labels, classes, names)


def _room(n: int, size: int) -> np.ndarray:
    if size < 1:
        raise ValueError(f"size is {size}; expected at least 1 pixel")
    need = 3 * n * size**2
    if (
        hasattr(os, "sysconf")
        and need > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") / 2
    ):
        raise MemoryError(
            f"{n:,} pictures of {size} px take {need / 1e9:.1f} GB, more than half of this "
            "machine's memory: ask for a smaller size, or read fewer"
        )
    return np.empty((n, 3, size, size), dtype=np.uint8)


def _check_layout(folder: Path, names: list[str], classes, left_out: dict[str, str]) -> None:
    if isinstance(classes, str):
        raise TypeError(f"classes are {classes!r}; expected a sequence of names")
    if not names:
        wrong = left_out.get("") or f"no class folders in {folder}"
        wrong = f"pictures lie in {folder} itself" if BESIDE in left_out.values() else wrong
        raise ValueError(f"{wrong}; expected one folder a class, with its pictures inside")
    if all(folded(name) in SPLITS for name in names):
        raise ValueError(f"{names} in {folder} look like splits, not like classes: use load_splits")
    whole = folder.resolve()
    if classes is None and folded(whole.name) in SPLITS and whole.with_name("train").is_dir():
        if folded(whole.name) != "train":
            raise ValueError(
                f"{folder} lies beside train. Numbered by itself, it could give a class another "
                "number than train does: give classes=train.classes, or read both by load_splits"
            )
