"""Measure: right answers, seconds, and what a forward pass leaves in memory for the backward."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.device import autocast, best_layout
from course_utils.images import Batches, Pairs, read_batches


@dataclass(frozen=True)
class Evaluation:
    """Logits [N, C] float32 and labels [N] int64 on the CPU, and what follows from them."""

    logits: torch.Tensor
    labels: torch.Tensor

    @property
    def loss(self) -> float:
        """Mean cross-entropy over all examples, in nats."""
        return F.cross_entropy(self.logits, self.labels).item()

    @property
    def predictions(self) -> torch.Tensor:
        """[N] int64, the most likely class of each example."""
        return self.logits.argmax(dim=1)

    @property
    def probabilities(self) -> torch.Tensor:
        """[N, C] float32, softmax of the logits."""
        return self.logits.softmax(dim=1)

    @property
    def correct(self) -> torch.Tensor:
        """[N] bool, right or wrong by example: what a paired comparison needs."""
        return self.predictions == self.labels

    @property
    def accuracy(self) -> float:
        """Right examples over all examples (never the mean of batch means)."""
        return self.correct.float().mean().item()


@torch.no_grad()
def evaluate(model: nn.Module, data: Batches | Pairs, *, batch_size: int = 16) -> Evaluation:
    """Logits for every example, in order, with the model in eval mode (and left in it).

    Raises
    ------
    ValueError : ``data`` is empty
    """
    device = best_layout(model)
    mixed, logits, labels = autocast(device), [], []
    model.eval()
    for inputs, batch_labels in read_batches(data, batch_size, device=device):
        with mixed:
            logits.append(model(inputs).float())
        labels.append(batch_labels)
    if not logits:
        raise ValueError("nothing to evaluate: the set is empty")
    return Evaluation(torch.cat(logits).cpu(), torch.cat(labels).cpu())


@dataclass
class Stopwatch:
    """The time between the two ends of a ``with stopwatch()`` block, set when it ends."""

    seconds: float = 0.0


def _wait(device: torch.device) -> None:
    """Wait for the work an accelerator still has queued; the CPU has none."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def stopwatch(device: torch.device | str | None = None) -> Iterator[Stopwatch]:
    """Time a block: ``with stopwatch(device) as watch: ...``, then ``watch.seconds``.

    An accelerator works behind Python's back, so its queue is waited for before both readings.
    """
    device = torch.device(device or "cpu")
    watch = Stopwatch()
    _wait(device)
    start = time.perf_counter()
    try:
        yield watch
    finally:
        _wait(device)
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
