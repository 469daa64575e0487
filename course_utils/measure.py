"""Measure: seconds, and what a forward pass leaves in memory for the backward pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Stopwatch:
    """The time between the two ends of a ``with stopwatch()`` block, set when it ends."""

    seconds: float = 0.0


def _synchronize(device: torch.device) -> None:
    """Wait for the work an accelerator still has queued; the CPU has none."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def stopwatch(device: torch.device | str | None = None) -> Iterator[Stopwatch]:
    """Time a block: ``with stopwatch(device) as watch: ...``, then ``watch.seconds``.

    An accelerator works behind Python's back, so its queue is waited for before both readings.
    """
    device = torch.device(device or "cpu")
    watch = Stopwatch()
    _synchronize(device)
    start = time.perf_counter()
    try:
        yield watch
    finally:
        _synchronize(device)
        watch.seconds = time.perf_counter() - start


def saved_activation_bytes(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    """Bytes that autograd keeps for the backward pass of one cross-entropy loss.

    Every tensor handed to autograd for safe-keeping is counted by its storage, each storage once:
    two layers often keep the same tensor. What the model owns anyway, its parameters and buffers,
    does not count; the images do where the first layer needs them. No backward pass is run, and
    the model's mode stays as it is, so in training mode BatchNorm statistics move as in any
    forward pass.

    Parameters
    ----------
    images : float [N, 3, H, W] on the model's device; labels : int64 [N]

    Returns
    -------
    int, 0 where nothing is trainable

    Raises
    ------
    ValueError : not one label an image

    Source: https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.graph.saved_tensors_hooks
    """
    if len(images) != len(labels):
        raise ValueError(f"got {len(images)} images and {len(labels)} labels; expected as many")
    own = {_address(t) for t in [*model.parameters(), *model.buffers()]}
    sizes: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes[_address(tensor)] = tensor.untyped_storage().nbytes()
        # Detached: a saved output that still knew its graph would keep that graph alive for ever.
        return tensor.detach()

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        loss = F.cross_entropy(model(images), labels)
    total = sum(size for address, size in sizes.items() if address not in own)
    # The graph keeps every counted storage alive: until here no address could be used twice.
    del loss
    return total


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
