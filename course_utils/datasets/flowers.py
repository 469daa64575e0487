"""The five-flower task: real photos, or flowers drawn by the course when photos cannot be had."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from course_utils.datasets.drawn import blooms, petals, scenes
from course_utils.datasets.photos import (
    Photo,
    PhotosUnavailable,
    download_photos,
    list_path,
    read_list,
    usable_photos,
    verified,
)
from course_utils.datasets.pictures import RECIPE, decode
from course_utils.images import ImageSet
from course_utils.store import cache, messages

SPLITS = ("train", "val", "test")
SOURCES = ("auto", "photos", "rendered")
RENDERED_PER_CLASS = {"train": 100, "val": 40, "test": 100}  # as the photos
RENDERED_SEED = {"train": 0, "val": 1, "test": 2}
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
        flowers = _photos(size)
    except PhotosUnavailable as error:
        if source == "auto":
            return _rendered(size, str(error))
        raise PhotosUnavailable(
            f"The photos were asked for, but {error}. Put the flower_photos folder into data/ or "
            'into $COURSE_DATA_DIR, or use source="rendered".'
        ) from error
    count = sum(len(getattr(flowers, split)) for split in SPLITS)
    messages.show_notice(f"Flowers: {count:,} real photos at {size} px. Credit: {CREDIT}.")
    return flowers


def _photos(size: int) -> Flowers:
    """The photos from the cache, from a folder, or downloaded."""
    listed = read_list()
    classes = tuple(sorted({photo.label for photo in listed}))
    name = _cache_name("photos", size, RECIPE.encode(), list_path().read_bytes())
    cached = cache.read(name)
    if _fits(cached, len(listed), 3, size, size):
        return _assemble(cached, listed, classes)
    folder, good = usable_photos()
    if folder is None:
        folder = download_photos()
        good = verified(folder)
    if len(good) < len(listed):
        messages.show_notice(
            f"{len(listed) - len(good)} of {len(listed):,} photos are not as listed: left out."
        )
    images = decode([folder / photo.path for photo in good], size)
    if len(good) == len(listed):
        cache.write(name, images)
    return _assemble(images, good, classes)


def _assemble(images: Tensor, photos: list[Photo], classes: tuple[str, ...]) -> Flowers:
    """Images [N, 3, size, size] in the order of ``photos``, taken apart by split."""
    everything = ImageSet(
        images,
        torch.tensor([classes.index(photo.label) for photo in photos]),
        classes,
        tuple(photo.file for photo in photos),
    )
    splits = {
        split: everything[[i for i, photo in enumerate(photos) if photo.split == split]]
        for split in SPLITS
    }
    return Flowers(**splits, source="photos")


def _rendered(size: int, reason: str) -> Flowers:
    """The drawn flowers, with the banner that says why."""
    messages.show_notice(
        f"Flowers: drawn by the course's generator, because {reason}: "
        "figures differ from the published ones."
    )
    # The generator's own source is part of the key: a changed drawing is never taken from a cache.
    sources = [Path(module.__file__).read_bytes() for module in (petals, blooms, scenes)]
    name = _cache_name("rendered", size, *sources)
    classes = scenes.CLASSES
    counts = [len(classes) * RENDERED_PER_CLASS[split] for split in SPLITS]
    images = cache.kept(
        name, lambda: _drawn(size), lambda found: _fits(found, sum(counts), 3, size, size)
    )
    splits = {}
    for split, part in zip(SPLITS, images.split(counts), strict=True):
        labels = torch.arange(len(classes)).repeat_interleave(RENDERED_PER_CLASS[split])
        splits[split] = ImageSet(part, labels, classes)
    return Flowers(**splits, source="rendered")


def _drawn(size: int) -> Tensor:
    """The images of all splits, one after another."""
    drawn = [
        scenes.render_flowers(RENDERED_PER_CLASS[split], size=size, seed=RENDERED_SEED[split])
        for split in SPLITS
    ]
    return torch.cat([part.images for part in drawn])


def _cache_name(source: str, size: int, *contents: bytes) -> str:
    """A file name that changes with whatever the images are made from."""
    digest = hashlib.sha256(b"\0".join(contents)).hexdigest()
    return f"{source}-{size}-{digest[:16]}.uint8"


def _fits(found: object, *shape: int) -> bool:
    return isinstance(found, Tensor) and found.dtype == torch.uint8 and found.shape == shape
