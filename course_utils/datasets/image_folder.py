"""Splits of a data set as files: what torchvision's ImageFolder finds is what was given."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from course_utils.datasets.photos import candidates
from course_utils.datasets.pictures import read_pictures
from course_utils.datasets.report import folded
from course_utils.images import ImageSet

CONTENTS = ".contents.txt"  # names the files of a split: what is not in it was not written here
LONGEST = 250  # bytes of a name; most file systems take 255
NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # on some system or other
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows


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
    _check_folder_names("splits", splits)
    for split, data in splits.items():
        _check_classes(split, data, next(iter(splits.values())).classes)
    for split in splits:
        _clear(Path(folder, split))
    for split, data in splits.items():
        names, originals = _file_names(data), _originals(data)
        place = Path(folder, split)
        place.mkdir(parents=True, exist_ok=True)
        (place / CONTENTS).write_text("\n".join(names), encoding="utf-8")
        for i, name in enumerate(names):
            (place / name).parent.mkdir(exist_ok=True)
            if i in originals:
                shutil.copyfile(originals[i], place / name)
            else:
                pixels = data.images[i].permute(1, 2, 0).cpu().numpy()
                Image.fromarray(pixels).save(place / name, "JPEG", quality=95)


def _cleaned(name: str) -> str:
    """The name that every system takes; the same where it already is one."""
    name = NO_NAME.sub("_", name).lstrip(".").rstrip(". ")
    name = name.encode()[-LONGEST:].decode(errors="ignore")
    return f"_{name}" if DEVICE.fullmatch(name) else name


def _check_folder_names(what: str, names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not name or _cleaned(name) != name:
            raise ValueError(
                f'{name!r} cannot be the name of a folder on every system. Rename it: no < > : " / '
                f"\\ | ? *, no dot at an end, no device of Windows, at most {LONGEST} bytes"
            )
        other = seen.setdefault(folded(name), name)
        if other != name:
            raise ValueError(
                f"the {what} {[other, name]} would be one folder on some systems: rename one"
            )


def _check_classes(split: str, data: ImageSet, expected: tuple[str, ...]) -> None:
    _check_folder_names("classes", data.classes)
    wrong = ""
    if data.classes != expected:
        wrong = f"has the classes {data.classes}, another split {expected}: give both the same"
    elif list(expected) != sorted(expected):
        wrong = f"has the classes {expected}: sort the classes first"
    elif empty := [name for name, count in data.counts().items() if count == 0]:
        wrong = f"has no picture of {empty}: add one, or leave the class out everywhere"
    if wrong:
        raise ValueError(f"{split!r} {wrong}. ImageFolder would number them otherwise than the set")


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
    files = {}
    for place in candidates()[0][:1]:
        for i, name in enumerate(data.names):
            path = place / data.classes[int(data.labels[i])] / name
            if path.is_file():
                files[i] = path
    decoded = read_pictures(list(files.values()), data.images.shape[-1])
    return {
        i: files[i]
        for i, found in zip(files, decoded, strict=True)
        if not isinstance(found, str) and np.array_equal(found, data.images[i].cpu().numpy())
    }
