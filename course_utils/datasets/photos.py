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
import tempfile
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import requests
from filelock import FileLock, Timeout
from pooch import HTTPDownloader

from course_utils.store import folders, messages, network

FLOWERS_URL = (
    "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz"
)
TOLERATED = 0.01  # share of the list that may be missing before the photos are not used
ARCHIVE_SIZE = 228_000_000  # bytes, about; the bar takes the server's figure
SPACE_NEEDED = 400_000_000  # bytes: the archive, and the 40 MB or so that stay
READ_TIMEOUT = 5.0  # seconds without a single byte
LOCK_TIMEOUT = 900.0  # seconds to wait for another notebook's download


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
    _check_share(len(good), len(photos))
    return good


def _matches(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _check_share(good: int, total: int) -> None:
    if total - good > TOLERATED * total:
        raise PhotosUnavailable(
            f"{total - good:,} of the {total:,} listed photos are missing or differ from "
            "their SHA-256"
        )


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
        cache = folders.cache_dir()
        with _lock(cache / "flower_photos.lock"):
            return _fetch_into(cache)
    except requests.RequestException as error:
        raise PhotosUnavailable(f"their download failed ({type(error).__name__})") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise PhotosUnavailable(f"the downloaded archive is damaged ({error})") from error
    except OSError as error:
        raise PhotosUnavailable(f"they cannot be stored on this disk ({error})") from error


def _lock(path: Path) -> FileLock:
    """Hold ``path`` against other processes, waiting for one that downloads."""
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=1)
    except Timeout:
        messages.show_notice("Another notebook is downloading the photos: waiting for it.")
    try:
        return lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout as error:
        raise PhotosUnavailable("another process has been downloading them too long") from error


def _fetch_into(cache: Path) -> Path:
    """Download, unpack and verify beside the final place, then move there in one step."""
    folder = cache / "flower_photos"
    if folder.is_dir():
        try:
            verified(folder)
            return folder
        except PhotosUnavailable:
            pass  # damaged since: replaced below
    for leftover in cache.glob("flower_photos-*.part"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    free = shutil.disk_usage(cache).free
    if free < SPACE_NEEDED:
        raise PhotosUnavailable(
            f"their download needs 400 MB of disk and {free / 1e6:.0f} are free"
        )
    if why := network.obstacle(FLOWERS_URL):
        raise PhotosUnavailable(f"their server cannot be reached: {why}")
    with tempfile.TemporaryDirectory(
        dir=cache, prefix="flower_photos-", suffix=".part", ignore_cleanup_errors=True
    ) as temporary:
        archive, unpacked = Path(temporary, "archive.tgz"), Path(temporary, "flower_photos")
        with closing(
            messages.progress(None, "downloading photos", total=ARCHIVE_SIZE, unit="B")
        ) as bar:
            HTTPDownloader(progressbar=bar, timeout=READ_TIMEOUT)(FLOWERS_URL, str(archive), None)
        _unpack(archive, unpacked)
        if folder.exists():
            os.replace(folder, Path(temporary, "damaged"))
        os.replace(unpacked, folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Write the listed photos of ``archive`` to ``folder``, each only if its SHA-256 is right.

    A member is read when its whole name is on the list, and written to the place the list gives:
    links, absolute paths and ``..`` in an archive have no effect.
    """
    wanted = {f"flower_photos/{photo.path}": photo for photo in read_list()}
    total, good = len(wanted), 0
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            photo = wanted.get(member.name.removeprefix("./"))
            if photo is None or not member.isfile():
                continue
            content = members.extractfile(member).read()
            if hashlib.sha256(content).hexdigest() != photo.sha256:
                continue
            path = folder / photo.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            good += 1
    _check_share(good, total)
