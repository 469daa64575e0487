"""Run the frozen front of a network once, keep what it gave, and train the rest on that.

Equal to the plain loop to the last bit, or not done at all: `cache_prefix` says why not. What an
image gives does not depend on its batch mates or its place in a batch (checked on every call), but
it does depend on the *size* of the batch: PyTorch's CPU kernels change with it, and the last bits
with them. So a full batch comes from the cache, and a smaller last one runs through the prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torchvision.ops import StochasticDepth

from course_utils.anatomy import DROPOUTS, CannotSplit, modes_kept, parts, split_at
from course_utils.device import autocast, best_layout, send
from course_utils.images import ImageSet, index_batches
from course_utils.store.messages import progress, show_notice
from course_utils.surgery import batchnorm_layers, set_train_mode
from course_utils.training import History, fit


class NotCacheable(ValueError):
    """Why the prefix cannot be run once for all; the message is one clause of plain English."""


def first_trainable(model: nn.Module) -> str:
    """Name of the first stage (or the head) that holds a trainable tensor.

    Raises
    ------
    ValueError : everything is frozen
    """
    for name, part in parts(model).items():
        if any(p.requires_grad for p in part.parameters()):
            return name
    raise ValueError("every parameter is frozen: unfreeze what you want to train first")


class _Prefix:
    """The prefix with the modes it has at this moment; runs in them whatever they are later."""

    def __init__(self, module: nn.Module, device: torch.device):
        self.module, self.device, self.mixed = module, device, autocast(device)
        self.modes = {inner: inner.training for inner in module.modules()}

    @torch.no_grad()
    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        with modes_kept(self.module), self.mixed:
            for inner, training in self.modes.items():
                inner.training = training
            return self.module(inputs)


@dataclass(frozen=True)
class _Layout:
    """Shape and strides of a full batch. Kernels choose their way by the strides, so a batch from
    the cache must have the ones that the prefix gave it."""

    shape: torch.Size
    stride: tuple[int, ...]

    @property
    def row(self) -> int:
        return self.shape[1:].numel()

    @property
    def by_image(self) -> bool:
        """One image after another in memory, without gaps."""
        last = sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        return self.stride[0] == self.row and last + 1 == self.shape.numel()

    def to_rows(self, batch: torch.Tensor) -> torch.Tensor:
        if self.by_image:
            return batch.as_strided((len(batch), self.row), (self.row, 1))
        return batch.reshape(len(batch), self.row)

    def to_batch(self, rows: torch.Tensor) -> torch.Tensor:
        if self.by_image:
            return rows.as_strided(self.shape, self.stride)
        batch = torch.empty_strided(self.shape, self.stride, dtype=rows.dtype, device=rows.device)
        return batch.copy_(rows.view(self.shape))


class PrefixSet:
    """What the prefix gives for an `ImageSet`: batches for the suffix, in the same order.

    Batches of ``batch_size`` images come from memory, others run through the prefix: other sizes
    are right too, but save nothing.
    """

    def __init__(self, images: ImageSet, prefix: _Prefix, batch_size: int):
        self.images, self.labels, self.classes = images, images.labels, images.classes
        self._prefix, self._size = prefix, min(batch_size, len(images))
        first = self._run(torch.arange(self._size))
        self._layout = _Layout(first.shape, first.stride())
        self._rows = first.new_empty(len(self), self._layout.row)
        self._fill()
        # In order the last batch holds the same images every time: it can be kept as well.
        rest = len(self) % self._size
        self._last = self._run(torch.arange(len(self) - rest, len(self))) if rest else None

    @property
    def megabytes(self) -> float:
        """What the kept outputs take, in MB (10⁶ bytes)."""
        return self._rows.nbytes / 1e6

    def _run(self, index: torch.Tensor) -> torch.Tensor:
        return self._prefix(self.images.batch(index, device=self._prefix.device)[0])

    def _fill(self) -> None:
        # Every batch is a full one: the last reaches back to images that were there before.
        steps = -(-len(self) // self._size)
        for step in progress(range(steps), "prefix", total=steps):
            end = min((step + 1) * self._size, len(self))
            batch = self._run(torch.arange(end - self._size, end))
            self._rows[end - self._size : end] = self._layout.to_rows(batch)

    def check(self) -> None:
        """Raise NotCacheable if a shuffled batch does not come out as it was kept."""
        index = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[: self._size]
        fresh, kept = self._run(index), self._kept(index)
        if not torch.equal(fresh, kept) or fresh.stride() != kept.stride():
            raise NotCacheable("its output for an image changes with the other images of the batch")

    def _kept(self, index: torch.Tensor) -> torch.Tensor:
        return self._layout.to_batch(self._rows.index_select(0, send(index, self._rows.device)))

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self, batch_size: int, *, shuffle: bool = False, generator=None, device=None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(outputs of the prefix [B, …], labels [B]) on ``device`` (None: the prefix's), in the
        order that the `ImageSet` gives its images in."""
        device = self._prefix.device if device is None else device
        for index in index_batches(len(self), batch_size, shuffle=shuffle, generator=generator):
            last = (
                not shuffle and self._last is not None and index[0] == len(self) - len(self._last)
            )
            if len(index) == self._size:
                outputs = self._kept(index)
            else:  # a copy, because a layer may work in place
                outputs = self._last.clone() if last else self._run(index)
            yield send(outputs, device), send(self.labels[index], device)


class Cached(NamedTuple):
    """What to give `fit`: the suffix and two `PrefixSet`, or, after a notice, what came in."""

    model: nn.Module
    train: PrefixSet | ImageSet
    val: PrefixSet | ImageSet


def cache_prefix(
    model: nn.Module,
    train: ImageSet,
    val: ImageSet,
    *,
    stage: str | None = None,
    batch_size: int = 32,
    set_mode: Callable[[nn.Module], object] = set_train_mode,
    limit_mb: float = 1000,
) -> Cached:
    """Run everything in front of ``stage`` once over both sets, for `fit` to train the rest.

    ``fit(*cache_prefix(model, train, val, batch_size=16), batch_size=16, …)`` gives the same
    weights, to the last bit in float32, as ``fit(model, train, val, batch_size=16, …)``. Where it
    would not (a trainable tensor, BatchNorm in training mode or an active dropout in the prefix,
    images that change from epoch to epoch, no room), it says why and returns its arguments. The
    cache is of the prefix as it is now: after unfreezing more, or loading weights, cache again.

    Parameters
    ----------
    stage : where training begins; None: the first stage with a trainable tensor
    batch_size, set_mode : as `fit` will get them
    limit_mb : most that the outputs of both sets may take, in MB (10⁶ bytes)

    Raises
    ------
    ValueError : no such stage, or everything is frozen
    """
    stage = first_trainable(model) if stage is None else stage
    device = best_layout(model)
    try:
        with modes_kept(model):
            for what, data in (("training", train), ("validation", val)):
                _check_data(what, data)
            prefix, suffix = split_at(model, stage)
            set_mode(model)
            _check_modes(model, prefix, suffix, set_mode)
            _check_room(_Prefix(prefix, device), train, len(train) + len(val), limit_mb)
            kept = PrefixSet(train, _Prefix(prefix, device), batch_size)
            kept.check()
            prefix.eval()  # fit validates in eval mode
            return Cached(suffix, kept, PrefixSet(val, _Prefix(prefix, device), batch_size))
    except (CannotSplit, NotCacheable) as reason:
        show_notice(f"No cache, so every batch runs through the whole network: {reason}.")
        return Cached(model, train, val)


def _check_data(what: str, data) -> None:
    if getattr(data, "transform", None) is not None:
        raise NotCacheable(f"the {what} images are changed at random each time they are read")
    if type(data) is not ImageSet:
        raise NotCacheable(
            f"the {what} images come from a {type(data).__name__}, which may change them each time "
            "(an ImageSet does not)"
        )
    if len(data) == 0:
        raise NotCacheable(f"there are no {what} images")


def _check_modes(model: nn.Module, prefix: nn.Module, suffix: nn.Module, set_mode) -> None:
    """Raise NotCacheable unless the prefix stands still in the plain loop, as its modes are now."""
    trainable = [name for name, p in prefix.named_parameters() if p.requires_grad]
    norms = [name for name, m in batchnorm_layers(prefix).items() if m.training]
    drops = [name for name, m in prefix.named_modules() if _drops(m)]
    for found, is_what in (
        (trainable, "trainable, so its output changes with every step"),
        (norms, "BatchNorm in training mode, which normalises each batch by itself and drifts"),
        (drops, "an active dropout, which draws anew each time"),
    ):
        if found:
            more = f" (one of {len(found)})" if len(found) > 1 else ""
            raise NotCacheable(f"{found[0]}{more} lies in the prefix and is {is_what}")
    shared = [module for module in suffix.modules() if module in set(model.modules())]
    before = [module.training for module in shared]
    set_mode(suffix)
    if before != [module.training for module in shared]:
        raise NotCacheable("set_mode gives the suffix other modes alone than in the whole network")


def _check_room(prefix: _Prefix, images: ImageSet, n: int, limit_mb: float) -> None:
    """Raise NotCacheable if the outputs for ``n`` images take more than ``limit_mb``."""
    one = prefix(images.batch([0], device=prefix.device)[0])
    if not isinstance(one, torch.Tensor):
        raise NotCacheable(f"the prefix gives a {type(one).__name__}, not one tensor")
    megabytes = n * one.numel() * one.element_size() / 1e6
    if megabytes > limit_mb:
        raise NotCacheable(
            f"its output for {n} images would take {megabytes:.1f} MB, and limit_mb is {limit_mb:g}"
        )


def _drops(module: nn.Module) -> bool:
    rate = module.p if isinstance(module, (*DROPOUTS, StochasticDepth)) else 0
    rate = module.dropout if isinstance(module, nn.MultiheadAttention) else rate
    return module.training and rate > 0


def fit_cached(
    model: nn.Module,
    train: ImageSet,
    val: ImageSet,
    *,
    stage: str | None = None,
    limit_mb: float = 1000,
    **settings,
) -> History:
    """`fit` with the same ``settings``, on the cache if that gives the same: see `cache_prefix`.

    The seconds of the history do not hold the one pass that fills the cache.
    """
    shared = {k: settings[k] for k in ("batch_size", "set_mode") if k in settings}
    cached = cache_prefix(model, train, val, stage=stage, limit_mb=limit_mb, **shared)
    history = fit(*cached, **settings)
    model.eval()  # as fit leaves it, the prefix too
    return history
