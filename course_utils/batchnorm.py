"""BatchNorm's statistics: a drift recorded and played back, a head trained meanwhile, new ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from course_utils.device import autocast, best_layout, device_of, seeded, send
from course_utils.images import ImageSet
from course_utils.surgery import batchnorm_layers, find_head, reset, set_train_mode
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
    with seeded(device_of(model), seed):
        reset(head)
    fit(
        model,
        data,
        None,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        optimizer=torch.optim.Adam(head.parameters(), lr=lr, fused=True),
        set_mode=set_mode,
    )


@torch.no_grad()
def record_means(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """The mean of every BatchNorm channel in every batch, [batches, channels of all layers].

    In training mode a layer normalises by its batch and never looks at its running statistics, so
    what it sees of a batch does not hang on the batches before. One pass therefore serves every
    momentum: see `play_drift`. The model itself is not touched.

    Parameters
    ----------
    model : dropout, if there is any, is left out
    batches : pairs of images [n, 3, H, W] and labels, which are not looked at

    Returns
    -------
    float32 on the CPU
    """
    model = copy.deepcopy(model).eval()
    layers = batchnorm_layers(model).values()
    for layer in layers:
        layer.train()
        layer.momentum = 1.0  # the running mean is that of the last batch
    # Where the images come in half precision, BatchNorm still adds up its statistics in float32.
    device = best_layout(model)
    mixed, means = autocast(device), []
    for images, _ in batches:
        with mixed:
            model(send(images, device))
        means.append(torch.cat([layer.running_mean for layer in layers]))
    return torch.stack(means).cpu()


def play_drift(model: nn.Module, means: Tensor, momentum: float) -> Tensor:
    """How far each layer's running mean is from where it stood, after 0, 1, 2, … batches.

    Parameters
    ----------
    model : whose running statistics are the start
    means : of the batches, in the order in which they pass, as `record_means` gives them
    momentum : share of the new batch in each step

    Returns
    -------
    [1 + batches, layers] : mean over a layer's channels, in old standard deviations, as
    `batchnorm_drift` measures it

    Raises
    ------
    ValueError : the means are not of this model
    """
    layers = list(batchnorm_layers(model).values())
    old = torch.cat([layer.running_mean for layer in layers]).cpu()
    if means.shape[1:] != old.shape:
        raise ValueError(
            f"got means {list(means.shape)}; expected [batches, {len(old)}], one a channel"
        )
    spread = torch.cat([(layer.running_var + layer.eps).sqrt() for layer in layers]).cpu()
    moved, path = torch.zeros_like(old), [torch.zeros_like(old)]
    for mean in means.cpu():
        moved = (1 - momentum) * moved + momentum * (mean - old)
        path.append(moved.abs() / spread)
    channels = [layer.num_features for layer in layers]
    return torch.stack([part.mean(1) for part in torch.stack(path).split(channels, dim=1)], dim=1)


@torch.no_grad()
def recalibrate(
    model: nn.Module,
    images: ImageSet,
    *,
    batch_size: int = 32,
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
    device = best_layout(model)
    # The passes run as `evaluate`'s do; the statistics themselves are float32 in any precision.
    mixed = autocast(device)
    model.eval()
    momenta = [layer.momentum for layer in layers]
    size = min(batch_size, len(images))
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the plain average over all batches since the reset
            layer.train()
        for batch, _ in images[: len(images) // size * size].batches(size, device=device):
            with mixed:
                model(batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


def batchnorm_drift(model: nn.Module, before: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """How far each BatchNorm layer's running mean has moved, in units of its old standard
    deviation: the mean over channels of |Δ mean| / √(var + eps). 0 for a layer at rest."""
    drift = {}
    for name, layer in batchnorm_layers(model).items():
        mean, var = before[f"{name}.running_mean"], before[f"{name}.running_var"]
        moved = (layer.running_mean.cpu() - mean.cpu()).abs() / (var.cpu() + layer.eps).sqrt()
        drift[name] = moved.mean().item()
    return drift
