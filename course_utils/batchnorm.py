"""BatchNorm's statistics: train a head while they drift, and take them anew from given images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from course_utils.images import ImageSet
from course_utils.runtime import pick_device
from course_utils.surgery import batchnorm_layers, find_head, set_train_mode
from course_utils.training import fit


def train_head(
    model: nn.Module,
    data,
    *,
    batch_size: int,
    epochs: int,
    shuffle: bool = True,
    lr: float = 1e-3,
    seed: int = 0,
    set_mode: Callable[[nn.Module], object] = set_train_mode,
    device: str | torch.device | None = None,
) -> None:
    """Start the head anew and train it with Adam, by `fit`; the backbone must be frozen.

    Two calls with the same seed start from the same head and see the same batches in the same
    order, so what differs between them is the mode.

    Parameters
    ----------
    model : a classifier, or the `cached_head` of one
    data : an `ImageSet`, or a `FeatureSet` for the cached head
    shuffle : False: each epoch in the order of ``data``
    seed : of the head's first weights and of the order
    set_mode : called on the model before each epoch. The default leaves frozen modules in eval;
        ``nn.Module.train`` lets the statistics drift

    The model is left in the mode that ``set_mode`` gave it.

    Raises
    ------
    ValueError : ``data`` is empty, fewer than one epoch, or more than the head is trainable
    """
    head = find_head(model).module
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head.reset_parameters()
    fit(
        model, data, None, epochs=epochs, batch_size=batch_size, shuffle=shuffle, seed=seed,
        optimizer=torch.optim.Adam(head.parameters(), lr=lr, fused=True), set_mode=set_mode,
        device=device,
    )  # fmt: skip


@torch.no_grad()
def recalibrate(
    model: nn.Module,
    images: ImageSet,
    *,
    batch_size: int = 32,
    device: str | torch.device | None = None,
) -> None:
    """Replace the running statistics of every BatchNorm layer by those of ``images``.

    One pass; labels are not looked at, no parameter moves. Each full batch has the same weight
    (a cumulative average), and images beyond the last full batch are left out: a small batch would
    weigh as much as a large one. With fewer than ``batch_size`` images all of them are one batch.
    The model is left in eval mode, with the momenta it had.

    Raises
    ------
    ValueError : fewer than 2 images, or a model without BatchNorm statistics

    Source: adaptive batch normalisation, Li et al. 2016, https://arxiv.org/abs/1603.04779
    """
    layers = [m for m in batchnorm_layers(model).values() if m.running_mean is not None]
    if not layers:
        raise ValueError(f"{type(model).__name__} keeps no BatchNorm statistics: nothing to take")
    if len(images) < 2:
        raise ValueError(f"got {len(images)} images; a variance needs at least 2, better hundreds")
    device = pick_device(device)
    model.to(device, memory_format=torch.channels_last).eval()
    momenta = [layer.momentum for layer in layers]
    size = min(batch_size, len(images))
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain average over all batches since the reset
            layer.train()
        for batch, _ in images[: len(images) // size * size].batches(size, device=device):
            model(batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
