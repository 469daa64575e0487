"""The 1,200 flower photos of the course: found, or downloaded once, and verified.

TensorFlow's flower_photos, CC BY 2.0 by photo. ``flower_photos.csv`` names the files in use with
their SHA-256; a file that does not match is not used. See ``data/README.md``.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from course_utils.store import folders, messages, network
from course_utils.store.download import DownloadFailed, alone, download, one_line

FLOWERS_URL = (
    "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz"
)
TOLERATED = 0.01  # share of the list that may be missing before the photos are not used
SPACE_NEEDED = 400_000_000  # bytes: the archive of 228 MB, and the 40 MB or so that stay
MOST_BYTES = 300_000_000  # of the archive, packed or unpacked: photos hardly shrink
MOST_PHOTO = 1_000_000  # bytes; the largest on the list has 60,000
MOST_MEMBERS = 10_000  # of the archive, which has some 3,700


class PhotosUnavailable(RuntimeError):
    """The photos cannot be had; the message says why, as part of a sentence."""


@dataclass(frozen=True)
class Photo:
    """One row of the list: split (train, val, test), label, file name, SHA-256 as hex digits."""

    split: str
    label: str
    file: str
    sha256: str

    @property
    def path(self) -> str:
        """Where the photo lies inside a flower_photos folder."""
        return f"{self.label}/{self.file}"


def list_path() -> Path:
    """The file that names the photos in use."""
    return folders.data_dir() / "flower_photos.csv"


def read_list() -> list[Photo]:
    """The photos in use, in the order of the file: 100 train, 40 val, 100 test a class."""
    with list_path().open(newline="", encoding="utf-8") as file:
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


def usable_photos() -> tuple[Path | None, list[Photo]]:
    """As `look_for_photos`; a notice names what cannot be used."""
    folder, good, wrong = look_for_photos()
    for sentence in wrong:
        messages.show_notice(f"{sentence}.")
    return folder, good


def find_photos() -> Path | None:
    """The folder that `usable_photos` finds."""
    return usable_photos()[0]


def verified(folder: Path) -> list[Photo]:
    """The listed photos that lie in ``folder`` unchanged.

    Raises PhotosUnavailable when more than 1 % are missing or differ.
    """
    photos = read_list()
    good = [photo for photo in photos if _matches(folder / photo.path, photo.sha256)]
    missing = len(photos) - len(good)
    if missing > TOLERATED * len(photos):
        raise PhotosUnavailable(
            f"{missing:,} of the {len(photos):,} listed photos are missing or differ from "
            "their SHA-256"
        )
    return good


def _matches(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def download_photos() -> Path:
    """Download the archive (228 MB) once and keep the listed photos in the course's cache.

    Whatever goes wrong, no half-done file stays behind. A second process waits for the first and
    then uses what it fetched. Stop ends the download and the cell: it is not a reason to go on
    with other pictures.

    Returns the flower_photos folder. Raises PhotosUnavailable, which says why.
    """
    if forbidden := network.offline():
        raise PhotosUnavailable(forbidden)
    try:
        target = folders.cache_dir() / "flower_photos"
        with alone(target) as scratch:
            if not _usable(target):  # another process may have brought them meanwhile
                _fetch(target, scratch)
    except DownloadFailed as error:
        raise PhotosUnavailable(f"their download failed: {error}") from error
    except OSError as error:
        raise PhotosUnavailable(f"they cannot be stored on this disk ({error})") from error
    return target


def _usable(folder: Path) -> bool:
    try:
        return bool(verified(folder))
    except PhotosUnavailable:
        return False


def _fetch(target: Path, scratch: Path) -> None:
    """Download, unpack and verify in ``scratch``, then move to ``target`` in one step."""
    free = shutil.disk_usage(scratch).free
    if free < SPACE_NEEDED:
        raise PhotosUnavailable(
            f"their download needs 400 MB of disk and {free / 1e6:.0f} are free"
        )
    archive, unpacked = scratch / "flower_photos.tgz", scratch / "flower_photos"
    download(FLOWERS_URL, archive, at_most=MOST_BYTES)
    listed = {f"flower_photos/{photo.path}": photo for photo in read_list()}
    for photo, content in _members(archive, listed):
        if hashlib.sha256(content).hexdigest() == photo.sha256:
            path = unpacked / photo.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    verified(unpacked)
    if target.exists():
        os.replace(target, scratch / "damaged")
    os.replace(unpacked, target)


def _members(archive: Path, listed: dict[str, Photo]) -> Iterator[tuple[Photo, bytes]]:
    """The listed photos in an archive that nobody has verified, each with its bytes.

    A member's whole name must be on the list, and its place is the list's: links, modes, absolute
    paths and ``..`` have no effect. How much is looked at, unpacked and held is bounded.
    """
    try:
        with gzip.open(archive) as packed, tarfile.open(fileobj=_AtMost(packed), mode="r|") as tar:
            for number, member in enumerate(tar):
                # tar.offset is where the next member begins: tarfile would read on to there.
                if number >= MOST_MEMBERS or tar.offset > MOST_BYTES:
                    raise tarfile.ReadError("it holds more than the photos' archive can")
                photo = listed.get(member.name.removeprefix("./"))
                plain = member.isfile() and not member.issparse()
                if photo and plain and member.size <= MOST_PHOTO:
                    yield photo, tar.extractfile(member).read()
    except Exception as error:  # tarfile, gzip and zlib have a dozen kinds for a strange file
        raise PhotosUnavailable(f"the downloaded archive is damaged ({one_line(error)})") from error


class _AtMost:
    """A stream that ends in an error after `MOST_BYTES`: a small archive can unpack to any size."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.left = stream, MOST_BYTES

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise tarfile.ReadError(f"over {MOST_BYTES:,} bytes")
        return content
