"""Run the frozen front of a network once, keep what it gave, and train the rest on that.

Equal to the plain loop to the last bit, or not done at all: `cache_prefix` says why not. What an
image gives does not depend on its batch mates or its place in a batch (checked on every call), but
it does depend on the *size* of the batch: PyTorch's CPU kernels change with it, and the last bits
with them. So a full batch comes from the cache, and a smaller last one runs through the prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
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

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module, self.device, self.mixed = module, device, autocast(device)
        self.modes = {inner: inner.training for inner in module.modules()}

    @torch.no_grad()
    def __call__(self, images: ImageSet, index: Tensor) -> Tensor:
        inputs, _ = images.batch(index, device=self.device)
        with modes_kept(self.module), self.mixed:
            for inner, training in self.modes.items():
                inner.training = training
            return self.module(inputs)


class PrefixSet:
    """What the prefix gives for an `ImageSet`: batches for the suffix, in the same order.

    Batches of ``batch_size`` images come from memory, others run through the prefix: other sizes
    are right too, but save nothing.
    """

    def __init__(self, images: ImageSet, prefix: _Prefix, batch_size: int) -> None:
        self.images, self.labels, self.classes = images, images.labels, images.classes
        self._prefix, self._size = prefix, min(batch_size, len(images))
        steps = -(-len(self) // self._size)
        for step in progress(range(steps), "prefix", total=steps):
            # Every batch is a full one: the last reaches back to images that were there before.
            end = min((step + 1) * self._size, len(self))
            batch = prefix(images, torch.arange(end - self._size, end))
            if step == 0:
                self._like, self._kept = batch, _room_for(len(self), batch)
            self._kept[end - self._size : end] = batch
        # In order the last batch holds the same images every time: it can be kept as well.
        self._rest = torch.arange(len(self))[len(self) // self._size * self._size :]
        self._last = prefix(images, self._rest) if len(self._rest) else self._like

    @property
    def megabytes(self) -> float:
        """What the kept outputs take, in MB (10⁶ bytes)."""
        return self._kept.nbytes / 1e6

    def check(self) -> None:
        """Raise NotCacheable if a shuffled batch does not come out as it was kept."""
        index = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[: self._size]
        fresh, kept = self._prefix(self.images, index), self._outputs(index)
        if not torch.equal(fresh, kept) or fresh.stride() != kept.stride():
            raise NotCacheable("its output for an image changes with the other images of the batch")

    def _outputs(self, index: Tensor) -> Tensor:
        if len(index) == self._size:
            # With the strides that the prefix gave it, by which kernels choose their way.
            batch = torch.empty_like(self._like)
            return torch.index_select(self._kept, 0, send(index, batch.device), out=batch)
        if torch.equal(index, self._rest):
            return self._last.clone()  # because a layer may work in place
        return self._prefix(self.images, index)

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(outputs of the prefix [B, …], labels [B]) on ``device`` (None: the prefix's), in the
        order that the `ImageSet` gives its images in."""
        device = self._prefix.device if device is None else device
        for index in index_batches(len(self), batch_size, shuffle=shuffle, generator=generator):
            yield send(self._outputs(index), device), send(self.labels[index], device)


def _room_for(n: int, batch: Tensor) -> Tensor:
    """Room for ``n`` images in the memory format of ``batch``, from which copies are quickest."""
    last = batch.is_contiguous(memory_format=torch.channels_last)
    form = torch.channels_last if last else torch.contiguous_format
    return batch.new_empty((n, *batch.shape[1:])).to(memory_format=form)


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


def _check_data(what: str, data: object) -> None:
    if type(data) is not ImageSet:
        raise NotCacheable(
            f"the {what} images come from a {type(data).__name__}, which may change them each time "
            "(an ImageSet does not)"
        )
    if len(data) == 0:
        raise NotCacheable(f"there are no {what} images")


def _check_modes(
    model: nn.Module, prefix: nn.Module, suffix: nn.Module, set_mode: Callable[[nn.Module], object]
) -> None:
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
    own = set(model.modules())
    shared = [module for module in suffix.modules() if module in own]
    before = [module.training for module in shared]
    set_mode(suffix)
    if before != [module.training for module in shared]:
        raise NotCacheable("set_mode gives the suffix other modes alone than in the whole network")


def _check_room(prefix: _Prefix, images: ImageSet, n: int, limit_mb: float) -> None:
    """Raise NotCacheable if the outputs for ``n`` images take more than ``limit_mb``."""
    one = prefix(images, torch.tensor([0]))
    if not isinstance(one, Tensor):
        raise NotCacheable(f"the prefix gives a {type(one).__name__}, not one tensor")
    megabytes = n * one.numel() * one.element_size() / 1e6
    if megabytes > limit_mb:
        raise NotCacheable(
            f"its output for {n} images would take {megabytes:.1f} MB, and limit_mb is {limit_mb:g}"
        )


def _drops(module: nn.Module) -> bool:
    rates = [module.p] if isinstance(module, (*DROPOUTS, StochasticDepth)) else []
    rates += [module.dropout] if isinstance(module, nn.MultiheadAttention) else []
    return module.training and any(rates)


def fit_cached(
    model: nn.Module,
    train: ImageSet,
    val: ImageSet,
    *,
    stage: str | None = None,
    limit_mb: float = 1000,
    **settings: Any,
) -> History:
    """`fit` with the same ``settings``, on the cache if that gives the same: see `cache_prefix`.

    The seconds of the history do not hold the one pass that fills the cache.
    """
    shared = {k: settings[k] for k in ("batch_size", "set_mode") if k in settings}
    cached = cache_prefix(model, train, val, stage=stage, limit_mb=limit_mb, **shared)
    history = fit(*cached, **settings)
    model.eval()  # as fit leaves it, the prefix too
    return history
