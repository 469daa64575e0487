"""Splits of a data set as files: what torchvision's ImageFolder finds is what was given."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from course_utils.datasets.photos import candidates
from course_utils.datasets.pictures import read_pictures
from course_utils.datasets.scan import folded
from course_utils.images import ImageSet

CONTENTS = ".contents.txt"  # names the files of a split: what is not in it was not written here
LONGEST = 250  # bytes of a name; most file systems take 255
_NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # on some system or other
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows


def write_image_folder(splits: dict[str, ImageSet], folder: str | Path) -> None:
    """Lay splits out as torchvision's ImageFolder reads them: ``folder/split/class/file.jpg``.

    A photo of the course whose file is at hand and gives exactly these pixels is copied. Any other
    image is written as a JPEG (quality 95) of the size it has in the set. Of equal file names, the
    second becomes ``name-2.jpg``. What an earlier call wrote to the same place is replaced; a file
    that was not written here is never touched.

    Raises
    ------
    ValueError : ImageFolder would number the classes otherwise than the set (a class without a
        picture, classes not sorted by name, splits with other classes), or a name of a split or
        class cannot be a folder's on every system
    FileExistsError : files that were not written here lie in a split's folder
    """
    folder = Path(folder)
    _check_folder_names("splits", tuple(splits))
    for split, data in splits.items():
        _check_classes(split, data, next(iter(splits.values())).classes)
    for split in splits:
        _clear(folder / split)
    for split, data in splits.items():
        names, originals = _file_names(data), _originals(data)
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / CONTENTS).write_text("\n".join(names), encoding="utf-8")
        for i, name in enumerate(names):
            target = folder / split / name
            target.parent.mkdir(exist_ok=True)
            if i in originals:
                shutil.copyfile(originals[i], target)
            else:
                pixels = data.images[i].permute(1, 2, 0).cpu().numpy()
                Image.fromarray(pixels).save(target, "JPEG", quality=95)


def _cleaned(name: str) -> str:
    """The name that every system takes; the same where it already is one."""
    name = _NO_NAME.sub("_", name).lstrip(".").rstrip(". ")
    name = name.encode()[-LONGEST:].decode(errors="ignore")
    return f"_{name}" if _DEVICE.fullmatch(name) else name


def _check_folder_names(what: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not name or _cleaned(name) != name:
            raise ValueError(
                f'{name!r} cannot be the name of a folder on every system. Rename it: no < > : " / '
                f"\\ | ? *, no dot at an end, no device of Windows, at most {LONGEST} bytes"
            )
        same = [other for other in names if folded(other) == folded(name)]
        if len(same) > 1:
            raise ValueError(f"the {what} {same} would be one folder on some systems: rename one")


def _check_classes(split: str, data: ImageSet, classes: tuple[str, ...]) -> None:
    _check_folder_names("classes", data.classes)
    if data.classes != classes:
        raise ValueError(f"{split!r} has the classes {data.classes}, another split {classes}")
    if list(classes) != sorted(classes):
        raise ValueError(
            f"the classes are {classes}. ImageFolder numbers them by name, so their labels would "
            "change: sort the classes first"
        )
    empty = [name for name, count in data.counts().items() if count == 0]
    if empty:
        raise ValueError(
            f"{split!r} has no picture of {empty}. ImageFolder would number its classes otherwise "
            "than those of the other splits: add a picture, or leave the class out everywhere"
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier call wrote, and folders that this leaves empty."""
    listed = folder / CONTENTS
    ours = listed.read_text(encoding="utf-8").split("\n") if listed.is_file() else []
    inside = sorted(folder.rglob("*"), reverse=True)  # what lies deeper comes first
    files = [path for path in inside if path.is_symlink() or not path.is_dir()]
    foreign = [p for p in files if p.relative_to(folder).as_posix() not in {*ours, CONTENTS}]
    if foreign:
        raise FileExistsError(
            f"{folder} holds {foreign[-1].relative_to(folder)} ({len(foreign)} such files), not "
            "written by write_image_folder: give a new folder, or empty this one"
        )
    for path in files:
        path.unlink()
    for path in inside:
        with suppress(OSError):  # the files among them are gone
            path.rmdir()


def _file_names(data: ImageSet) -> list[str]:
    """``class/file.jpg`` for each image, every one different."""
    chosen: dict[str, str] = {}  # folded → as it is written
    for i, label in enumerate(data.labels.tolist()):
        name = _cleaned(data.names[i] if data.names else "") or f"{i:04d}.jpg"
        stem, suffix = Path(name).stem, Path(name).suffix
        if suffix.lower() not in (".jpg", ".jpeg"):
            stem, suffix = name[: LONGEST - 10], ".jpg"
        number, place = 1, f"{data.classes[label]}/{stem}{suffix}"
        while folded(place) in chosen:
            number += 1
            place = f"{data.classes[label]}/{stem}-{number}{suffix}"
        chosen[folded(place)] = place
    return list(chosen.values())


def _originals(data: ImageSet) -> dict[int, Path]:
    """Position → the photo's file, where decoding it gives exactly the pixels of the set."""
    places, _ = candidates()
    if not places or not data.names:
        return {}
    named = enumerate(zip(data.labels.tolist(), data.names, strict=True))
    files = {i: places[0] / data.classes[label] / name for i, (label, name) in named}
    files = {i: path for i, path in files.items() if path.is_file()}
    decoded = read_pictures(list(files.values()), data.images.shape[-1])
    return {
        i: path
        for i, (path, found) in zip(files, decoded, strict=True)
        if not isinstance(found, str) and np.array_equal(found, data.images[i].cpu().numpy())
    }
