"""Labelled images as one uint8 tensor, normalised batch by batch.

Each file is decoded once. uint8 keeps 1,200 images of 128 px in 59 MB; as float32 they would take
236 MB, which matters on a machine with 2 GB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from course_utils.device import image_layout, send

# Of ImageNet's training images, RGB in 0..1; torchvision's classification weights expect them:
# https://docs.pytorch.org/vision/stable/models.html
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with labels.

    Parameters
    ----------
    images : uint8 [N, 3, H, W], RGB, 0..255
    labels : int64 [N], positions in ``classes``
    classes : class names, each once
    names : file names, one an image, or empty

    Raises
    ------
    TypeError : wrong kind of tensor or name
    ValueError : wrong shape, length or label, or a class named twice
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_images(self.images)
        check_labels(self.labels, len(self.images), self.classes)
        if self.names and len(self.names) != len(self.images):
            raise ValueError(
                f"got {len(self.names)} names for {len(self.images)} images: give one an image, "
                "or none at all"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor | Sequence[int]) -> ImageSet:
        """The images at these positions, as an ImageSet. A slice shares memory, a list copies."""
        index = positions_of(index, len(self))
        positions = range(len(self))[index] if isinstance(index, slice) else index.tolist()
        names = tuple(self.names[i] for i in positions) if self.names else ()
        return ImageSet(self.images[index], self.labels[index], self.classes, names)

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set with its pixels and labels on ``device``, where `batches` then works.

        uint8 pixels are small: 1,200 images of 128 px take 59 MB.
        """
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def batch(
        self, index: slice | Tensor | Sequence[int], *, device: torch.device | str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Normalised images float32 [B, 3, H, W] and labels int64 [B] of these positions, on
        ``device`` (None: where the set is)."""
        # Not by self[index]: that would check the labels, and so wait for the device, every time.
        index = positions_of(index, len(self))
        return normalize(self.images[index], device=device), send(self.labels[index], device)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over all images as :meth:`batch` pairs; the last batch may be smaller.

        The order is drawn on the CPU, so it is the same on every machine.
        """
        here = self.images.device
        for index in index_batches(len(self), batch_size, shuffle, generator, here):
            yield self.batch(index, device=device)

    def per_class(self, n: int, *, seed: int = 0) -> ImageSet:
        """``n`` random images of each class; see :func:`per_class_index`."""
        return self[per_class_index(self.labels, n, seed, self.classes)]

    def counts(self) -> dict[str, int]:
        """How many images each class has, in the order of ``classes``."""
        found = torch.bincount(self.labels.cpu(), minlength=len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"images are {got}; expected a uint8 tensor with values 0..255")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images have shape {tuple(images.shape)}; expected [N, 3, H, W]. One image needs "
            "images[None], channels-last needs images.permute(0, 3, 1, 2)"
        )


def check_labels(labels: Tensor, n: int, classes: Sequence[str]) -> None:
    """The one check of labels and class names, for images and for features."""
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        got = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"labels are {got}; expected an int64 tensor: use labels.long()")
    if labels.shape != (n,):
        raise ValueError(f"labels have shape {tuple(labels.shape)}; expected [{n}], one each")
    if not isinstance(classes, tuple) or not all(isinstance(name, str) for name in classes):
        raise TypeError(f"classes are {classes!r}; expected a tuple of names (str)")
    twice = [name for i, name in enumerate(classes) if name in classes[:i]]
    if twice:
        raise ValueError(f"class {twice[0]!r} stands twice in {classes}: give each name once")
    if n and not 0 <= labels.min() <= labels.max() < len(classes):
        raise ValueError(
            f"labels run from {labels.min()} to {labels.max()}; with {len(classes)} classes "
            f"expected 0 to {len(classes) - 1}"
        )


def positions_of(index: slice | Tensor | Sequence[int], n: int) -> slice | Tensor:
    """An index into ``n`` examples as a slice or as int64 positions.

    Raises TypeError for a single position, ValueError for a mask of another length.
    """
    if isinstance(index, slice):
        return index
    index = torch.as_tensor(index)
    if index.ndim != 1:
        raise TypeError(
            f"got the index {index.tolist()}; expected a slice or a list of positions. Write "
            "[i : i + 1] for a set of one example; .images[i] or .features[i] is its tensor"
        )
    if index.dtype != torch.bool:
        return index.long()  # an empty list becomes a float tensor, which PyTorch refuses
    if len(index) != n:
        raise ValueError(f"got a mask of {len(index)} for {n} examples: give one value each")
    return index.nonzero().flatten()


class Batches(Protocol):
    """What `fit` and `evaluate` read: an `ImageSet`, a `FeatureSet`, or a class of your own."""

    def batches(
        self, batch_size: int, *, shuffle=False, generator=None, device=None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over all examples: (inputs [B, …], labels int64 [B]) on ``device``."""


Pairs = Iterable[tuple[Tensor, Tensor]]  # a DataLoader, or a list of batches


def read_batches(data: Batches | Pairs, batch_size: int, *, device=None, **order) -> Pairs:
    """One pass over ``data`` on ``device``; ``order`` is for `Batches` and not for `Pairs`.

    Raises
    ------
    TypeError : neither of the two, or pairs that can be read only once (a generator)
    """
    if hasattr(data, "batches"):
        return data.batches(batch_size, device=device, **order)
    if isinstance(data, Tensor | Iterator) or not isinstance(data, Iterable):
        raise TypeError(_WANTED.format(type(data).__name__))
    return (_pair(data, item, device) for item in data)


def _pair(data: Pairs, item: object, device) -> tuple[Tensor, Tensor]:
    if isinstance(item, tuple | list) and [isinstance(t, Tensor) for t in item] == [True, True]:
        return send(item[0], device), send(item[1], device)
    given = f"{type(data).__name__} that gives a {type(item).__name__}"
    raise TypeError(_WANTED.format(given))


_WANTED = (
    "got a {}; expected an ImageSet, a FeatureSet, or pairs of tensors (inputs, labels) that can "
    "be read every epoch, such as a DataLoader over a TensorDataset"
)


def index_batches(
    n: int,
    batch_size: int,
    shuffle: bool = False,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Iterator[Tensor]:
    """Positions 0..n-1 in batches, int64 [B]; in random order from ``generator`` on request.

    The order is drawn on the CPU and sent to ``device`` at once.

    Raises ValueError for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    order = send(order, device)
    yield from (order[start : start + batch_size] for start in range(0, n, batch_size))


def per_class_index(
    labels: Tensor, n: int, seed: int, classes: Sequence[str] | None = None
) -> Tensor:
    """Positions of ``n`` random examples of each class, int64, ascending.

    For one seed a smaller choice is part of a larger one, so that a curve over ``n`` adds
    examples and never exchanges them. Without ``classes`` there are as many as the labels show.

    Raises ValueError when ``n`` is below 1 or a class has fewer than ``n`` examples, none included.
    """
    if n < 1:
        raise ValueError(f"got n = {n}; expected at least 1 example a class")
    labels = labels.cpu()
    if classes is None:
        classes = [""] * int(labels.max() + 1 if len(labels) else 0)
    generator = torch.Generator().manual_seed(seed)
    chosen = [torch.empty(0, dtype=torch.int64)]
    for label, name in enumerate(classes):
        positions = (labels == label).nonzero().flatten()
        if len(positions) < n:
            hint = f"use n <= {len(positions)}" if len(positions) else "leave the class out"
            raise ValueError(
                f"class {name or label} has {len(positions)} examples, {n} were asked for: {hint}"
            )
        chosen.append(positions[torch.randperm(len(positions), generator=generator)[:n]])
    return torch.cat(chosen).sort().values


def normalize(
    images: Tensor,
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    device: torch.device | str | None = None,
) -> Tensor:
    """(images / 255 - mean) / std: uint8 [N, 3, H, W] -> float32, channels-last in memory.

    Raises TypeError for anything but uint8 (a float image would be normalised twice).
    """
    _check_images(images)
    # The uint8 travels: a quarter of the bytes that float32 would move to an accelerator.
    images = send(images, device)
    scale = send(torch.tensor([1 / (255 * s) for s in std]).view(1, 3, 1, 1), images.device)
    shift = send(torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]), images.device)
    # One float copy, then multiply and add in place: written as a formula, the division, the
    # subtraction and the second division would each allocate another tensor of that size.
    result = images.to(torch.float32, memory_format=image_layout(images.device))
    return result.mul_(scale).add_(shift.view(1, 3, 1, 1))
