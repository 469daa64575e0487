"""The five-flower task: real photos, or flowers drawn by the course when photos cannot be had."""

from __future__ import annotations

import hashlib
import inspect
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_utils.datasets.drawn import blooms, petals, scenes
from course_utils.datasets.photos import (
    PhotosUnavailable,
    download_photos,
    look_for_photos,
    read_list,
    verified,
)
from course_utils.datasets.pictures import RECIPE, decode
from course_utils.images import ImageSet
from course_utils.store import cache, messages

SPLITS = ("train", "val", "test")
SOURCES = ("auto", "photos", "rendered")
RENDERED_PER_CLASS = {"train": 100, "val": 40, "test": 100}  # as the photos
CREDIT = "TensorFlow flower_photos, CC BY 2.0, Flickr id in the file name"


@dataclass(frozen=True, eq=False)
class Flowers:
    """The task: three ImageSets that share no image, and where they come from ("photos" or
    "rendered"). Fit on ``train``, choose on ``val``, report on ``test`` once."""

    train: ImageSet
    val: ImageSet
    test: ImageSet
    source: str

    @property
    def classes(self) -> tuple[str, ...]:
        """daisy, dandelion, roses, sunflowers, tulips."""
        return self.train.classes


def load_flowers(size: int = 128, *, source: str = "auto") -> Flowers:
    """The five flowers, 100 / 40 / 100 images a class to train, validate and test.

    Decoded or drawn once; afterwards read from one file in the course's cache. A banner says which
    of the two sources is in use.

    Parameters
    ----------
    size : side of the images in pixels
    source : "auto" (photos if they are here or can be downloaded, else rendered), "photos"
        (nothing else will do) or "rendered" (drawn, even where photos are at hand). The
        environment variable COURSE_FLOWERS, when set, says what "auto" means.

    Raises
    ------
    ValueError : unknown source;  PhotosUnavailable : "photos" was asked for and cannot be had
    """
    asked = f'source="{source}"'
    if source == "auto" and os.environ.get("COURSE_FLOWERS"):
        source = os.environ["COURSE_FLOWERS"]
        asked = f"COURSE_FLOWERS={source}"
    if source not in SOURCES:
        raise ValueError(f"{asked}: expected one of {', '.join(SOURCES)}")
    if source == "rendered":
        return _rendered(size, f"{asked} asks for them")
    try:
        return _photos(size)
    except PhotosUnavailable as error:
        if source == "auto":
            return _rendered(size, str(error))
        raise PhotosUnavailable(
            f"The photos were asked for, but {error}. Put the flower_photos folder into data/ or "
            'into $COURSE_DATA_DIR, or use source="rendered".'
        ) from error


def _photos(size: int) -> Flowers:
    """The photos from the cache, from a folder, or downloaded; with the banner."""
    good = listed = read_list()
    name = _cache_name("photos", size, RECIPE, str(listed))
    images = cache.read(name)
    if not _fits(images, len(listed), size):
        folder, good, wrong = look_for_photos()
        for sentence in wrong:
            messages.show_notice(f"{sentence}.")
        if folder is None:
            folder = download_photos()
            good = verified(folder)
        if missing := len(listed) - len(good):
            told = f"{missing} of {len(listed):,} photos are not as listed: left out."
            messages.show_notice(told)
        images = decode([folder / photo.path for photo in good], size)
        if not missing:
            cache.write(name, images)
    messages.show_notice(f"Flowers: {len(good):,} real photos at {size} px. Credit: {CREDIT}.")
    names = tuple(photo.file for photo in good)
    return _parted(images, [(photo.split, photo.label) for photo in good], names, "photos")


def _rendered(size: int, reason: str) -> Flowers:
    """The drawn flowers, with the banner that says why."""
    messages.show_notice(
        f"Flowers: drawn by the course's generator, because {reason}: "
        "figures differ from the published ones."
    )
    # The generator's own source is part of the key: a changed drawing is never taken from a cache.
    sources = [inspect.getsource(module) for module in (petals, blooms, scenes)]
    rows = [
        (split, label)
        for split in SPLITS
        for label in scenes.CLASSES
        for _ in range(RENDERED_PER_CLASS[split])
    ]

    def drawn() -> Tensor:
        parts = [
            scenes.render_flowers(RENDERED_PER_CLASS[split], size=size, seed=seed).images
            for seed, split in enumerate(SPLITS)
        ]
        return torch.cat(parts)

    name = _cache_name("rendered", size, *sources)
    images = cache.kept(name, drawn, lambda found: _fits(found, len(rows), size))
    return _parted(images, rows, (), "rendered")


def _parted(
    images: Tensor, rows: list[tuple[str, str]], names: tuple[str, ...], source: str
) -> Flowers:
    """Images [N, 3, size, size] taken apart by their rows (split, label)."""
    labels = torch.tensor([scenes.CLASSES.index(label) for _, label in rows])
    everything = ImageSet(images, labels, scenes.CLASSES, names)
    train, val, test = (
        everything[[i for i, (part, _) in enumerate(rows) if part == split]] for split in SPLITS
    )
    return Flowers(train, val, test, source)


def _cache_name(source: str, size: int, *contents: str) -> str:
    """A file name that changes with whatever the images are made from."""
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()
    return f"{source}-{size}-{digest[:16]}.uint8"


def _fits(found: Any, n: int, size: int) -> bool:
    return found is not None and (found.dtype, *found.shape) == (torch.uint8, n, 3, size, size)
