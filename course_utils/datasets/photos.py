"""The 1,200 flower photos of the course: found, or downloaded once, and verified.

TensorFlow's flower_photos, CC BY 2.0 by photo. ``flower_photos.csv`` names the files in use with
their SHA-256; a file that does not match is not used. See ``data/README.md``.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from course_utils.store import folders, messages
from course_utils.store.download import DownloadFailed, alone, download

FLOWERS_URL = (
    "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz"
)
# As TensorFlow's own loader expects it: tensorflow_datasets/datasets/tf_flowers/checksums.tsv
FLOWERS_SHA256 = "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c"
FLOWERS_BYTES = 228_813_984
SPACE_NEEDED = 400_000_000  # bytes: the archive, and the 40 MB or so that stay
TOLERATED = 0.01  # share of the list that may be missing before the photos are not used


class PhotosUnavailable(RuntimeError):
    """The photos cannot be had; the message says why, as part of a sentence."""


class Photo(NamedTuple):
    """One row of the list: split (train, val, test), label, file name, SHA-256 as hex digits."""

    split: str
    label: str
    file: str
    sha256: str

    @property
    def path(self) -> str:
        """Where the photo lies inside a flower_photos folder."""
        return f"{self.label}/{self.file}"


def read_list() -> list[Photo]:
    """The photos in use, in the order of the file: 100 train, 40 val, 100 test a class."""
    with (folders.data_dir() / "flower_photos.csv").open(newline="", encoding="utf-8") as file:
        return [Photo(**row) for row in csv.DictReader(file)]


def candidates() -> tuple[list[Path], list[str]]:
    """The flower_photos folders to look into, best first; and what is wrong with the named ones."""
    places, wrong = [], []
    try:
        if named := folders.named_by("COURSE_DATA_DIR"):
            places.append(named / "flower_photos")
            if not os.path.isdir(places[0]):
                wrong.append(
                    f"COURSE_DATA_DIR is {named}, and no folder flower_photos can be read in it. "
                    "Set it to the folder that holds flower_photos"
                )
    except OSError as error:
        wrong.append(str(error).rstrip("."))
    places.append(folders.data_dir() / "flower_photos")
    with suppress(OSError):  # nothing can have been downloaded there
        places.append(folders.cache_dir() / "flower_photos")
    return [place for place in places if os.path.isdir(place)], wrong


def look_for_photos() -> tuple[Path | None, list[Photo], list[str]]:
    """The first folder whose photos can be used, or None; its photos that are as listed; and a
    sentence on each folder that cannot be used.

    Reading and hashing 1,200 photos takes a fraction of a second.
    """
    places, wrong = candidates()
    for folder in places:
        try:
            return folder, verified(folder), wrong
        except PhotosUnavailable as error:
            wrong.append(f"{folder} is not used, because {error}")
    return None, [], wrong


def find_photos() -> Path | None:
    """The folder that `look_for_photos` finds; a notice names what cannot be used."""
    folder, _, wrong = look_for_photos()
    for sentence in wrong:
        messages.show_notice(f"{sentence}.")
    return folder


def verified(folder: Path) -> list[Photo]:
    """The listed photos that lie in ``folder`` unchanged.

    Raises PhotosUnavailable when more than 1 % are missing or differ.
    """
    photos, good = read_list(), []
    for photo in photos:
        with suppress(OSError):  # missing, or not to be read
            if hashlib.sha256((folder / photo.path).read_bytes()).hexdigest() == photo.sha256:
                good.append(photo)
    missing = len(photos) - len(good)
    if missing > TOLERATED * len(photos):
        raise PhotosUnavailable(
            f"{missing:,} of the {len(photos):,} listed photos are missing or differ from "
            "their SHA-256"
        )
    return good


def download_photos() -> Path:
    """Download the archive (228 MB) once and keep the listed photos in the course's cache.

    Whatever goes wrong, no half-done file stays behind. A second process waits for the first and
    then uses what it fetched. Stop ends the download and the cell: it is not a reason to go on
    with other pictures.

    Returns the flower_photos folder. Raises PhotosUnavailable, which says why.
    """
    try:
        target = folders.cache_dir() / "flower_photos"
        with alone(target) as scratch:
            try:
                verified(target)  # another process may have brought them meanwhile
            except PhotosUnavailable:
                _fetch(target, scratch)
    except DownloadFailed as error:
        raise PhotosUnavailable(f"their download failed: {error}") from error
    except OSError as error:
        raise PhotosUnavailable(f"they cannot be stored on this disk ({error})") from error
    return target


def _fetch(target: Path, scratch: Path) -> None:
    """Download, verify and unpack in ``scratch``, then move to ``target`` in one step."""
    free = shutil.disk_usage(scratch).free
    if free < SPACE_NEEDED:
        raise PhotosUnavailable(
            f"their download needs 400 MB of disk and {free / 1e6:.0f} are free"
        )
    archive, unpacked = scratch / "flower_photos.tgz", scratch / "flower_photos"
    # Verified before it is opened: a strange archive can cost any time and memory.
    download(FLOWERS_URL, archive, at_most=FLOWERS_BYTES, sha256=FLOWERS_SHA256)
    listed = {f"flower_photos/{photo.path}": unpacked / photo.path for photo in read_list()}
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name in listed else None
            if content:
                listed[member.name].parent.mkdir(parents=True, exist_ok=True)
                listed[member.name].write_bytes(content.read())
    verified(unpacked)
    if target.exists():
        os.replace(target, scratch / "damaged")
    os.replace(unpacked, target)
